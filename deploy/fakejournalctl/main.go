// Fakejournalctl stands in for journalctl where events are wanted at a rate, for the benchmark of the real exporter. It
// shows nothing of journald.
//
//	fakejournalctl FILE RATE EVENTS [arguments of journalctl, which it ignores]
//
// When FILE is there it writes EVENTS entries, RATE of them a second, in portions of a hundredth of that, as
// `journalctl --output=json --follow` does; then it waits, as that does, for more.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fakejournalctl:", err)
		os.Exit(2)
	}
}

const portions = 100 // a second

func run(args []string, out io.Writer) error {
	if len(args) < 3 {
		return fmt.Errorf("want FILE RATE EVENTS, got %q", args)
	}
	rate, err := strconv.Atoi(args[1])
	if err != nil || rate < portions {
		return fmt.Errorf("rate %q: want a number of at least %d", args[1], portions)
	}
	events, err := strconv.Atoi(args[2])
	if err != nil {
		return fmt.Errorf("events %q: want a number", args[2])
	}
	tick := time.NewTicker(time.Second / portions)
	defer tick.Stop()
	for {
		if _, err := os.Stat(args[0]); err == nil {
			break
		}
		<-tick.C
	}
	w := bufio.NewWriterSize(out, 64<<10)
	began := time.Now()
	for sent := 0; sent < events; {
		<-tick.C
		due := min(events, int(time.Since(began).Seconds()*float64(rate))) // a tick may be late or left out
		for ; sent < due; sent++ {
			write(w, sent)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	for { // the reader ends us
		<-tick.C
	}
}

// write writes one entry, of the size of a usual one. The error is Flush's.
func write(w io.Writer, n int) {
	fmt.Fprintf(w, `{"__CURSOR":"s=8f0f8a8f2b6c4f0f9f2d3c4b5a697887;i=%x;b=0123456789abcdef0123456789abcdef;m=%x;t=%x;x=%016x","__REALTIME_TIMESTAMP":"%d",`+
		`"PRIORITY":"%d","_HOSTNAME":"db7","_TRANSPORT":"syslog","_BOOT_ID":"0123456789abcdef0123456789abcdef","_PID":"%d","_COMM":"postgres","SYSLOG_IDENTIFIER":"postgres",`+
		`"_SYSTEMD_UNIT":"postgresql.service","MESSAGE":"event %d: could not receive data from client 10.20.%d.%d: Connection reset by peer"}`+"\n",
		n, n, n, n, time.Now().UnixMicro(), 3+n%4, 1000+n%500, n, n/256%256, n%256)
}
