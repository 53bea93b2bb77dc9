package metadata

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"strings"
)

// wireServer is what speaks to Azure's agents.
const wireServer = "http://168.63.129.16"

var wireHeaders = map[string]string{"x-ms-agent-name": "com.wellcar.metadata", "x-ms-version": "2012-11-30"}

// azure has addresses at the wire server, the rest at the metadata service.
func azure(ctx context.Context, m Machine) (Data, error) {
	compute := paths{
		base: link + "/metadata/instance/compute/", headers: map[string]string{"Metadata": "true"},
		attributes: [][2]string{{"AZURE_VMSIZE", "vmSize?api-version=2017-08-01&format=text"}},
		hostname:   "name?api-version=2017-08-01&format=text",
	}
	d, err := compute.fetch(ctx, m)
	if err != nil {
		return d, err
	}
	if d.Keys, err = azureKeys(ctx, m, compute); err != nil {
		return d, err
	}
	goal, err := azureGoal(ctx, m)
	if err != nil {
		return d, err
	}
	d.checkIn = goal.ready()
	d.Attributes["AZURE_IPV4_DYNAMIC"], d.Attributes["AZURE_IPV4_VIRTUAL"], err = goal.addresses(ctx, m)
	return d, err
}

func azureKeys(ctx context.Context, m Machine, compute paths) ([]string, error) {
	text, err := compute.text(ctx, m, "publicKeys?api-version=2021-02-01")
	if err != nil || text == "" {
		return nil, err
	}
	var list []struct {
		Data string `json:"keyData"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("reading the SSH keys: %w", err)
	}
	var keys []string
	for _, k := range list {
		if key := strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(k.Data)); key != "" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// goalState is what the fabric wants of the machine.
type goalState struct {
	Incarnation string `xml:"Incarnation"`
	Container   string `xml:"Container>ContainerId"`
	Instance    struct {
		ID     string `xml:"InstanceId"`
		Shared string `xml:"Configuration>SharedConfig"`
	} `xml:"Container>RoleInstanceList>RoleInstance"`
}

func azureGoal(ctx context.Context, m Machine) (g goalState, err error) {
	data, err := m.Get(ctx, Request{URL: wireServer + "/machine/?comp=goalstate", Headers: wireHeaders})
	if err != nil {
		return g, fmt.Errorf("asking the wire server: %w", err)
	}
	if err := xml.Unmarshal(data, &g); err != nil {
		return g, fmt.Errorf("reading the goal state of the wire server: %w", err)
	}
	return g, nil
}

// addresses are those that the shared configuration has of this machine.
func (g goalState) addresses(ctx context.Context, m Machine) (own, public string, err error) {
	if g.Instance.Shared == "" {
		return "", "", nil
	}
	data, err := m.Get(ctx, Request{URL: g.Instance.Shared, Headers: wireHeaders})
	if errors.Is(err, ErrNotFound) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("asking the wire server for the addresses: %w", err)
	}
	if own, public, err = SharedConfig(data); err != nil {
		return "", "", fmt.Errorf("reading the shared configuration: %w", err)
	}
	return own, public, nil
}

// SharedConfig reads Azure's SharedConfig.xml: the address of the machine that
// it is for, and the first public one that leads to it; empty where it has none.
func SharedConfig(text []byte) (own, public string, err error) {
	var v struct {
		Incarnation struct {
			Instance string `xml:"instance,attr"`
		}
		Instances []struct {
			ID        string `xml:"id,attr"`
			Address   string `xml:"address,attr"`
			Endpoints []struct {
				Public string `xml:"loadBalancedPublicAddress,attr"`
			} `xml:"InputEndpoints>Endpoint"`
		} `xml:"Instances>Instance"`
	}
	if err := xml.Unmarshal(text, &v); err != nil {
		return "", "", err
	}
	for _, i := range v.Instances {
		if i.ID != v.Incarnation.Instance {
			continue
		}
		own = i.Address
		for _, e := range i.Endpoints {
			if host, _, err := net.SplitHostPort(e.Public); err == nil {
				return own, host, nil
			}
		}
	}
	return own, "", nil
}

// ready is the report that ends the provisioning of a machine.
func (g goalState) ready() *Request {
	var text strings.Builder
	escaped := func(s string) string {
		text.Reset()
		_ = xml.EscapeText(&text, []byte(s)) // a builder takes all
		return text.String()
	}
	body := fmt.Sprintf(`<?xml version="1.0" encoding="utf-8"?>
<Health><GoalStateIncarnation>%s</GoalStateIncarnation><Container><ContainerId>%s</ContainerId><RoleInstanceList><Role><InstanceId>%s</InstanceId><Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>
`, escaped(g.Incarnation), escaped(g.Container), escaped(g.Instance.ID))
	headers := map[string]string{"Content-Type": "text/xml; charset=utf-8"}
	for name, value := range wireHeaders {
		headers[name] = value
	}
	return &Request{Method: "POST", URL: wireServer + "/machine/?comp=health", Headers: headers, Body: body}
}
