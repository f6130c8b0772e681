package api

import (
	"slices"
	"strings"
	"testing"

	"nocturne/ruler/store"
)

func TestJoinTokensAreListedAndRevoked(t *testing.T) {
	b, s := stored(t, nil)
	list := get[JoinTokenList](b, "/join-tokens")
	var got []string
	for _, v := range list.Items {
		got = append(got, v.ID+" "+v.State+" "+v.Site)
	}
	if want := []string{"5f2c91aa08 used ", "5f2c91aa07 valid north"}; !slices.Equal(got, want) || list.Total != 2 {
		t.Errorf("%q, want %q", got, want)
	}
	if list := get[JoinTokenList](b, "/join-tokens?limit=1&offset=1"); len(list.Items) != 1 || list.Items[0].ID != "5f2c91aa07" || list.Total != 2 {
		t.Errorf("second page %+v", list)
	}
	if w := b.call("DELETE", Prefix+"/join-tokens/5f2c91aa07", "", nil); w.Code != 200 || !strings.Contains(w.Body.String(), `"state":"revoked"`) {
		t.Errorf("revoke answered %d: %s", w.Code, w.Body)
	}
	for _, id := range []string{"x", "5f2c91aa99", "..%2Fservers"} {
		if w := b.call("DELETE", Prefix+"/join-tokens/"+id, "", nil); w.Code != 404 {
			t.Errorf("%s answered %d: %s", id, w.Code, w.Body)
		}
	}
	log, err := s.AuditLog(t.Context(), store.AuditQuery{})
	if err != nil || len(log) != 1 || log[0].Action != "join_token.revoke" || log[0].Subject != "5f2c91aa07" {
		t.Errorf("audit log %+v, %v", log, err)
	}
}
