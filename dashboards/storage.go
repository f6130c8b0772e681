package dashboards

// What controllers say of what is well: storcli's words, and its successor's.
const (
	goodDrives = `state=~"Onln|Online|Conf/Online|UGood|GHS|DHS|Hot Spare|Optimal|JBOD|Sntze"`
	goodArrays = `state=~"Optl|Optimal"`
)

// temperatures are those of all parts, with what they are of.
const temperatures = `label_replace({__name__=~"nocturne_(sensor|raid_physical_drive|raid_controller|raid_battery|smart_drive)_temperature_celsius"}, "part", "$1", "__name__", "nocturne_(?:raid_)?(.+)_temperature_celsius")`

var serverVar = Var{Name: "server", Label: "Server", Query: "label_values(nocturne_server_info, server)"}

func storage() Dashboard {
	drive := func(kind string, query string) Panel {
		return Panel{Kind: kind, Queries: one(query, "{{server}} {{place}}")}
	}
	trend := func(title, about, unit, query string) Panel {
		p := drive(Lines, query)
		p.Title, p.About, p.Unit, p.Width, p.Min = title, about, unit, 12, at(0)
		return p
	}
	return Dashboard{
		UID: "nocturne-storage", Title: "Nocturne / Storage and RAID", About: "Controllers, arrays and drives: what is failing, what wears out, what gets hot.", Since: "now-7d", Page: "/devices", Vars: []Var{serverVar},
		Rows: []Row{
			{Panels: []Panel{
				{Kind: Stat, Title: "Physical drives", About: "Drives that RAID controllers name.", Unit: "none", Width: 4, Queries: one(`count(nocturne_raid_physical_drive_state{server=~"$server"})`, "")},
				{Kind: Stat, Title: "Not well", About: "Drives that are neither online nor a spare nor unused.", Unit: "none", Width: 4, Bad: at(1), Queries: one(`count(nocturne_raid_physical_drive_state{server=~"$server"}) - (count(nocturne_raid_physical_drive_state{server=~"$server",`+goodDrives+`}) or vector(0))`, "")},
				{Kind: Stat, Title: "Failure predicted", About: "Drives of which the controller or SMART says that they will fail.", Unit: "none", Width: 4, Bad: at(1), Queries: one(`count((nocturne_raid_physical_drive_predictive_failures{server=~"$server"} > 0) or (nocturne_raid_physical_drive_smart_alert{server=~"$server"} > 0)) or (0 * count(nocturne_raid_physical_drive_smart_alert{server=~"$server"}))`, "")},
				{Kind: Stat, Title: "Media errors so far", About: "Media errors that controllers count, of all drives together.", Unit: "none", Width: 4, Warn: at(1), Bad: at(1000), Queries: one(`sum(nocturne_raid_physical_drive_media_errors{server=~"$server"})`, "")},
				{Kind: Stat, Title: "Arrays", About: "Virtual drives.", Unit: "none", Width: 4, Queries: one(`count(nocturne_raid_virtual_drive_state{server=~"$server"})`, "")},
				{Kind: Stat, Title: "Not optimal", About: "Virtual drives that are degraded, rebuilding or offline.", Unit: "none", Width: 4, Bad: at(1), Queries: one(`count(nocturne_raid_virtual_drive_state{server=~"$server"}) - (count(nocturne_raid_virtual_drive_state{server=~"$server",`+goodArrays+`}) or vector(0))`, "")},
			}},
			{Title: "States", Panels: []Panel{
				{Kind: Lines, Title: "Drives by state", About: "How many physical drives are in which state, in the controllers' own words.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Queries: one(`count by (state) (nocturne_raid_physical_drive_state{server=~"$server"})`, "{{state}}")},
				{Kind: Lines, Title: "Arrays by state", About: "How many virtual drives are in which state.", Unit: "none", Width: 12, Min: at(0), Stacked: true, Queries: one(`count by (state) (nocturne_raid_virtual_drive_state{server=~"$server"})`, "{{state}}")},
				{Kind: Table, Title: "Drives", About: "Every physical drive with its state, model and serial number; those that are not well come first.", Unit: "none", Width: 24, Names: columns("", map[string]string{"place": "Place", "state": "State", "model": "Model", "serial": "Serial number", "firmware": "Firmware", "media": "Kind", "interface": "Interface", "Value": ""}),
					Queries: one(`sort((nocturne_raid_physical_drive_state{server=~"$server",`+goodDrives+`} + 1 or nocturne_raid_physical_drive_state{server=~"$server"}) * on (server, server_id, place) group_left (model, serial, firmware, media, interface) nocturne_raid_physical_drive_info{server=~"$server"})`, "")},
			}},
			{Title: "Errors", Panels: []Panel{
				trend("Media errors", "Media errors that the controller counts, drive by drive, the twenty worst; a drive on which they grow is on its way out.", "none", `topk_max(20, nocturne_raid_physical_drive_media_errors{server=~"$server"})`),
				trend("Other errors", "Errors beside the medium: often cables, backplane or power, the twenty worst.", "none", `topk_max(20, nocturne_raid_physical_drive_other_errors{server=~"$server"})`),
			}},
			{Title: "Wear and heat", Panels: []Panel{
				trend("Drive temperatures", "The twenty hottest drives behind RAID controllers.", "celsius", `topk_max(20, nocturne_raid_physical_drive_temperature_celsius{server=~"$server"})`),
				trend("Endurance left", "How much of an SSD's endurance is left, the twenty most worn, as SMART says.", "percentunit", `bottomk_min(20, nocturne_smart_drive_life_left_ratio{server=~"$server"})`),
				{Kind: Table, Title: "Disks asked through SMART", About: "Disks that no controller hides: state, model and serial number; the value is how long they have been on.", Unit: "s", Width: 24, Names: columns("On for", map[string]string{"place": "Place", "state": "State", "model": "Model", "serial": "Serial number", "firmware": "Firmware", "protocol": "Protocol"}),
					Queries: one(`nocturne_smart_drive_power_on_seconds{server=~"$server"} * on (server, server_id, place) group_left (state) nocturne_smart_drive_state{server=~"$server"} * on (server, server_id, place) group_left (model, serial, firmware, protocol) nocturne_smart_drive_info{server=~"$server"}`, "")},
			}},
			{Title: "Controllers", Panels: []Panel{
				{Kind: Table, Title: "Controllers", About: "RAID controllers with firmware and state.", Unit: "none", Width: 12, Names: columns("", map[string]string{"place": "Place", "state": "State", "model": "Model", "serial": "Serial number", "firmware": "Firmware", "Value": ""}),
					Queries: one(`nocturne_raid_controller_state{server=~"$server"} * on (server, server_id, place) group_left (model, serial, firmware) nocturne_raid_controller_info{server=~"$server"}`, "")},
				trend("Controller temperatures", "The twenty hottest RAID controllers.", "celsius", `topk_max(20, nocturne_raid_controller_temperature_celsius{server=~"$server"})`),
			}},
		},
	}
}
