# Shows the package names that `go build -v` prints as one moving line, and everything else as it is.
/^[A-Za-z0-9._~\/@-]+$/ { n++; if (tty) printf "\r  %d packages  %-60.60s", n, $0 > "/dev/stderr"; else if (n % 100 == 0) print "  " n " packages"; shown = 1; next }
{ if (tty && shown) printf "\r%80s\r", "" > "/dev/stderr"; print; fflush() }
BEGIN { tty = system("test -t 2") == 0 }
END { if (tty && shown) printf "\r  %d packages built %-60s\n", n, "" > "/dev/stderr" }
