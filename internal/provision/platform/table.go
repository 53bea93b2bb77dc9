package platform

// sources are all platforms by their id.
var sources = all()

func all() map[string]Source {
	m := map[string]Source{
		"qemu":            qemu{},
		"metal":           metal{},
		"file":            file{},
		"akamai":          akamai{},
		"applehv":         applehv{},
		"aws":             aws{},
		"azure":           azure{},
		"azurestack":      azurestack{},
		"brightbox":       openstack{},
		"cloudstack":      cloudstack{},
		"hyperv":          hyperv{},
		"ibmcloud":        nocloud{[]string{"/user-data"}},
		"kubevirt":        kubevirt{},
		"nutanix":         configDrive{},
		"nvidiabluefield": nvidiabluefield{},
		"openstack":       openstack{},
		"powervs":         configDrive{},
		"proxmoxve":       nocloud{[]string{"/user-data", "/vendor-data"}},
		"virtualbox":      virtualbox{},
		"vmware":          vmware{},
		"zvm":             zvm{},
	}
	for id, site := range sites {
		m[id] = site
	}
	return m
}
