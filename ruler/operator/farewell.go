package operator

import (
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// farewell is what a goodbye announces.
type farewell uint8

const (
	byStop farewell = iota
	byRestart
	byShutdown
)

// restarts and ends are parts of the words with which systems name what they
// do: systemd's targets, and the action of Windows' event 1074, which is in the
// system's language. What restarts is looked for first.
var (
	restarts = []string{"restart", "reboot", "kexec", "neu start", "neustart", "redémarr", "reinici", "riavvi", "opnieuw opst", "ponown", "перезагруз", "再起動", "重新启动", "重新啟動"}
	ends     = []string{"power off", "power-off", "poweroff", "shutdown", "shut down", "halt", "herunterfahren", "ausschalten", "éteindre", "arrêt", "apaga", "desliga", "arrest", "spegn", "afsluiten", "uitschakel", "wyłącz", "vypn", "выключ", "シャットダウン", "关机", "關機"}
)

// farewellOf reads a goodbye. Whoever does not say what comes after the end of
// the machine is taken to restart: one that does not come up again must not be
// noticed days later.
func farewellOf(r *record.Record) farewell {
	if r.Attr(record.AttrReason).Str() != "shutdown" {
		return byStop
	}
	action := strings.ToLower(r.Attr(record.AttrShutdownAction).Str())
	has := func(words []string) bool {
		for _, w := range words {
			if strings.Contains(action, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has(restarts) || !has(ends):
		return byRestart
	default:
		return byShutdown
	}
}

// farewellWords tells who ends what, and why.
func farewellWords(r *record.Record) string {
	words := r.Attr(record.AttrReason).Text()
	if words == "" {
		words = "no reason given"
	}
	add := func(before, key string) {
		if s := r.Attr(key).Str(); s != "" {
			words += before + s
		}
	}
	add(", ", record.AttrShutdownAction)
	add(" by ", record.AttrShutdownProcess)
	add(" for ", record.AttrShutdownUser)
	add(": ", record.AttrShutdownReason)
	if v := r.Attr(record.AttrShutdownPlanned); v.Kind() == record.KindBool {
		if v.Bool() {
			words += ", planned"
		} else {
			words += ", not planned"
		}
	}
	return keep(words)
}

// allows returns how long a server may stay away after what it said; 0 = until
// it is back.
func (f farewell) allows(g rule.Goodbye) (stay int64) {
	switch f {
	case byRestart:
		return int64(g.Restart)
	case byShutdown:
		return int64(g.Shutdown)
	default:
		return int64(g.Stop)
	}
}

// mode is how a server that said so is kept.
func (f farewell) mode() presenceMode {
	return [...]presenceMode{byStop: left, byRestart: leftRestart, byShutdown: leftShutdown}[f]
}

// farewell is what a server said that is gone.
func (m presenceMode) farewell() (f farewell, gone bool) {
	switch m {
	case left:
		return byStop, true
	case leftRestart:
		return byRestart, true
	case leftShutdown:
		return byShutdown, true
	default:
		return 0, false
	}
}
