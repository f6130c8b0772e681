package plugin

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/nocturne/fleet/pkg/ruler"
)

// callerOf is who is signed in to Grafana.
//
// It comes from the plugin context, which Grafana sends beside a call over the
// private connection that it made to the process it started. The signed
// X-Grafana-Id is not used: the SDK names the header and verifies nothing, the
// keys would be fetched from the same Grafana that sent the call, and it is
// there only with a feature toggle. No header of the browser says anything.
func callerOf(u *backend.User) (ruler.Caller, *ruler.Problem) {
	if u == nil {
		return ruler.Caller{}, ruler.NewProblem(http.StatusForbidden, "Grafana does not say who asks", "sign in to Grafana")
	}
	var c ruler.Caller
	switch u.Role {
	case "Viewer", "Editor", "Admin":
		c.Role = strings.ToLower(u.Role)
	default:
		return ruler.Caller{}, ruler.NewProblem(http.StatusForbidden, "you have no role in this Grafana organisation", "ask its admin for Viewer, Editor or Admin")
	}
	switch {
	case u.Login == "":
		// Anonymous access: nobody stands for a change.
		return ruler.Caller{}, nil
	case len(u.Login) > ruler.MaxUser || !utf8.ValidString(u.Login) || strings.TrimSpace(u.Login) != u.Login || strings.ContainsFunc(u.Login, unprintable):
		return ruler.Caller{}, ruler.NewProblem(http.StatusForbidden, "your login name cannot be told to the ruler", "it takes at most 128 bytes of plain text; a Grafana admin can change it")
	}
	c.User = u.Login
	return c, nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }
