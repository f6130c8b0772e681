package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
)

func TestServerFilters(t *testing.T) {
	b := newBench(t, nil)
	f := func(query string, total int) {
		t.Helper()
		if l := get[ServerList](b, "/servers?"+query); l.Total != total {
			t.Errorf("%s: %d servers, want %d", query, l.Total, total)
		}
	}
	f("status=silent", 1)
	f("status=critical", 1)
	f("status=silent,critical,planned", 3)
	f("status=decommissioned", 0)
	f("os_type=linux", 1)
	f("updates_pending=true&sort=updates", 5)
	f("reboot_required=true", 5)
	f("support_ends_before=2028-07-01T00:00:00Z", 1)
	f("support_ends_before=2028-06-30T00:00:00Z", 0)
	all := get[ServerList](b, "/servers")
	seen := 0
	for _, st := range Statuses() { // every server has exactly one status
		l := get[ServerList](b, "/servers?status="+string(st))
		seen += l.Total
		for _, v := range l.Items {
			if v.Status != st {
				t.Errorf("status=%s lists %s, which is %s", st, v.Name, v.Status)
			}
		}
	}
	if seen != all.Total {
		t.Errorf("%d servers by status, %d in all", seen, all.Total)
	}
	v := get[ServerDetail](b, "/servers/"+apitest.ID(3).String()).Server
	if v.UpdatesPending == nil || *v.UpdatesPending != 2 || v.UpdatesSecurity != 1 || !v.RebootRequired || v.OSRelease != "Windows Server 2022" || v.SupportEnd.Format(time.DateOnly) != "2031-10-14" || v.Model != "ProLiant DL380 Gen10" {
		t.Errorf("%+v", v)
	}
}

func TestSystemsAndUpdates(t *testing.T) {
	b := newBench(t, nil)
	s := get[Systems](b, "/systems")
	if s.Active != 18 || s.Unknown != 3 || s.Items[0].Release != "Debian 12 (bookworm)" || s.Items[0].State != "active" || s.Problem != "" {
		t.Errorf("%+v", s)
	}
	for end, want := range map[string]string{"2026-11-20": "ended", "2026-11-21": "ends_soon", "2027-05-19": "ends_soon", "2027-05-21": "active"} {
		day, err := time.Parse(time.DateOnly, end)
		if got := supportState(day, now); err != nil || got != want {
			t.Errorf("%s: %s, want %s", end, got, want)
		}
	}
	u := get[Updates](b, "/updates")
	if u.ServersPending != 5 || u.ServersUpToDate != 11 || u.ServersReboot != 5 || u.ServersPending+u.ServersUpToDate+u.ServersUnknown != 21 || u.Items[0].Name != "KB5070001" || u.Items[0].Servers != 5 || !u.Items[0].Security {
		t.Errorf("%+v", u)
	}
}

func TestDevicesAcrossTheFleet(t *testing.T) {
	b := newBench(t, nil)
	l := get[DeviceList](b, "/devices?status=warning,critical")
	var got []string
	for _, d := range l.Items {
		got = append(got, d.Server+" "+d.Device.Place+" "+string(d.Device.Status))
	}
	// A degraded array is part of its drive's problem and has a status of its own.
	if want := []string{"sim-north-05 c0/e252/s4 critical", "sim-north-07 c0/e252/s2 warning", "sim-north-05 c0/v0 warning"}; l.Total != 3 || !slices.Equal(got, want) {
		t.Errorf("%d: %q, want %q", l.Total, got, want)
	}
	counts := map[string]int{}
	for _, f := range get[Facets](b, "/device-facets?device_type=physical_drive").Facets {
		for _, v := range f.Values {
			counts[f.Name+" "+v.Value] = v.Count
		}
	}
	if counts["status critical"] != 1 || counts["status warning"] != 1 || counts["state Failed"] != 1 || counts["type physical_drive"] != counts["status ok"]+2 || counts["firmware TN05"] != counts["model ST4000NM0035-1V4107"] {
		t.Errorf("%v", counts)
	}
	if f := get[Facets](b, "/server-facets").Facets; len(f) != 12 || f[0].Name != "exporter_version" {
		t.Errorf("%+v", f)
	}
	// What a facet counts is what its filter finds.
	for _, f := range get[Facets](b, "/server-facets").Facets {
		for _, v := range f.Values {
			if v.Value == "" || strings.HasSuffix(v.Value, "…") { // nothing, or longer than an answer shows
				continue
			}
			if l := get[ServerList](b, "/servers?limit=1&"+f.Name+"="+url.QueryEscape(v.Value)); l.Total != v.Count {
				t.Errorf("%s %q: %d counted, %d found", f.Name, v.Value, v.Count, l.Total)
			}
		}
	}
	if l := get[DeviceList](b, "/devices?search=package"); l.Total != 0 {
		t.Errorf("software is among the devices: %d", l.Total)
	}
	if l := get[DeviceList](b, fmt.Sprintf("/devices?category=software&server=%s&limit=1", apitest.ID(5))); l.Total != 45 {
		t.Errorf("%d programs", l.Total)
	}
}
