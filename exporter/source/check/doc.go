// Package check runs plugins: programs that a local administrator installed
// and named, each on a schedule of its own, and states what they say.
//
// A plugin speaks one of three formats: the Nagios plugin API, Prometheus
// text, or the JSON document of docs/checks/schema.json. Whatever it says, each
// run becomes one snapshot: a device of type "check" at the place NAME with its
// state, and below that place the devices that the plugin states itself. The
// sections of a snapshot never reach beyond the check's own name, so that two
// checks cannot remove each other's devices. A run that came into another
// state than the one before is also a record of its own, with all details.
//
// Nothing from the network names a program or an argument: both come from the
// configuration file and the folder of check files, which only an administrator
// can write. Programs run without a shell, in a clean environment, and every
// one is looked at (source.CheckTool) each time before it runs.
//
// A Check is one source, named check/NAME. Roster is the source that tells when
// a check is configured no more. Parsers are pure. To test:
// go test ./exporter/source/check.
package check
