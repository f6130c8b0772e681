package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// ErrStuck is wrapped by what Run ends with when the spool does not answer any
// more: not even Close would return. The spool is whole: a commit that did not
// end is one that did not happen.
var ErrStuck = errors.New("the spool does not answer")

// watchPeriod is how often the watchdog looks, unless systemd wants it sooner.
const watchPeriod = 10 * time.Second

// watchdog tells systemd that the exporter works for as long as commits to the
// spool come to an end. On Windows, where nobody listens, it ends the process
// by itself, later.
type watchdog struct {
	send   func(state string)
	period time.Duration
	stuck  func(now time.Time) error
	log    *slog.Logger
}

// newWatchdog reads what systemd wants (sd_notify(3), sd_watchdog_enabled(3)).
func newWatchdog(getenv func(string) string, stuck func(time.Time) error, log *slog.Logger) *watchdog {
	w := &watchdog{send: func(string) {}, period: watchPeriod, stuck: stuck, log: log}
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return w
	}
	w.send = func(state string) {
		if err := notify(socket, state); err != nil {
			log.Debug("systemd was not told", "state", state, "err", err)
		}
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if pid := getenv("WATCHDOG_PID"); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		w.period = max(min(w.period, time.Duration(usec)*time.Microsecond/3), 100*time.Millisecond)
	}
	return w
}

// notify sends one datagram; a socket that begins with "@" has no file.
func notify(socket, state string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = c.Write([]byte(state))
	return errors.Join(err, c.Close())
}

// Awake tells systemd until ctx ends that this process lives, while there is no
// App yet.
func Awake(ctx context.Context, log *slog.Logger) {
	_ = newWatchdog(os.Getenv, func(time.Time) error { return nil }, log).run(ctx) // nothing can be stuck
}

// run returns an error that wraps ErrStuck, or nil when ctx ends. It does not
// say STOPPING=1: the process may go on as another server.
func (w *watchdog) run(ctx context.Context) error {
	w.send("READY=1")
	tick := time.NewTicker(w.period)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := w.stuck(time.Now())
		if err == nil {
			w.send("WATCHDOG=1")
			told = false
			continue
		}
		if !told {
			w.log.Error("the exporter stands still", "err", err)
			told = true
		}
		if s := (*stuckError)(nil); errors.As(err, &s) && s.since > deadCommit {
			return errors.Join(ErrStuck, err)
		}
	}
}
