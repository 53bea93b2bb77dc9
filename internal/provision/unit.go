package provision

// How the upstream packages begin a finding about a unit's text.
const unitPrefix = "invalid unit content: "
