package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"nocturne/deploy/nocturne/alertmanager"
	"nocturne/deploy/nocturne/receiver"
)

const (
	shutdownTimeout   = 2 * time.Second
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = time.Minute
	idleTimeout       = 2 * time.Minute
)

// alertmanagerCommand runs Alertmanager until it is told to stop; SIGHUP reloads its configuration.
func alertmanagerCommand(ctx context.Context, e env, args []string) error {
	flags := newFlags(e, "alertmanager")
	opts := alertmanager.Options{}
	flags.StringVar(&opts.ConfigFile, "config", "alertmanager.yml", "Alertmanager's own configuration `file`")
	flags.StringVar(&opts.DataDir, "data", "alertmanager", "`folder` for silences and the notification log")
	flags.StringVar(&opts.Listen, "listen", "127.0.0.1:9093", "`address` of the API")
	flags.StringVar(&opts.ExternalURL, "external-url", "", "`URL` that messages link to (default: the API's own)")
	level := flags.String("log-level", "info", levelUsage)
	if err := parse(flags, args); err != nil {
		return err
	}
	logger, err := newLogger(e, *level)
	if err != nil {
		return err
	}
	opts.Logger = logger
	a, err := alertmanager.New(opts)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		for {
			select {
			case <-hangups:
				if err := a.Reload(); err != nil {
					logger.Error("configuration not reloaded, the old one stays in force", "err", err)
				}
			case <-stopped:
				return
			}
		}
	}()
	return errors.Join(a.Run(ctx), a.Close())
}

// receiverCommand keeps delivered messages until it is told to stop.
func receiverCommand(ctx context.Context, e env, args []string) error {
	flags := newFlags(e, "receiver")
	data := flags.String("data", "receiver", "`folder` for the messages")
	listen := flags.String("listen", "127.0.0.1:9481", "`address` to listen on")
	level := flags.String("log-level", "info", levelUsage)
	if err := parse(flags, args); err != nil {
		return err
	}
	logger, err := newLogger(e, *level)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen for messages: %w", err)
	}
	r, err := receiver.Open(*data, logger)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return errors.Join(serve(ctx, l, r.Handler()), r.Close())
}

// newServer gives up on who sends or reads too slowly.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
}

// serve answers until ctx ends and lets requests end before it returns.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := newServer(h)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return server.Shutdown(timeout)
}
