package api

import (
	"testing"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func TestChangeBetweenServers(t *testing.T) {
	c := changeOf(store.Change{Kind: "moved", Type: "physical_drive", Server: record.ID{2}, Name: "db8", Place: "c0/e1/s1", FromServer: record.ID{1}, FromName: "db7", From: "c0/e252/s4",
		Occupant: "Z1", Muted: "planned: rack 12", Plan: store.Plan{ID: "rack-12", Who: "ada", Why: "boards"}})
	if c.FromID != (record.ID{1}).String() || c.FromServer != "db7" || c.Muted != "planned: rack 12" || c.PlanID+c.PlanWho+c.PlanWhy != "rack-12adaboards" || c.Text != "physical drive Z1 moved from db7 c0/e252/s4 to db8 c0/e1/s1" {
		t.Errorf("%+v", c)
	}
	if c := changeOf(store.Change{Kind: "moved", Type: "physical_drive", Server: record.ID{2}, Name: "db8", Place: "s1", From: "s4"}); c.FromID != "" || c.PlanID != "" || c.Text != "physical drive moved from s4 to s1" {
		t.Errorf("within a server: %+v", c)
	}
}
