package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"nocturne/ruler/app"
	"nocturne/ruler/config"
)

func backupCommands() []command {
	return []command{
		{"backup", "[--config FILE] FILE", "copy the store into a new file, also while the ruler works", backup},
		{"restore", "[--config FILE] FILE", "put a backup in the place of the store; the ruler must be stopped", restore},
	}
}

// fileArgs reads the flags and the one file of backup and restore.
func fileArgs(name string, args []string, stderr io.Writer) (data, file string, err error) {
	fs := flag.NewFlagSet("ruler "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	path := fs.String("config", "", "configuration file (YAML); without one the defaults hold")
	if err := fs.Parse(args); err != nil {
		return "", "", err
	}
	if fs.NArg() != 1 {
		return "", "", fmt.Errorf("ruler %s: name one file: %w", name, errUsage)
	}
	cfg, err := config.Load(*path)
	return cfg.Data, fs.Arg(0), err
}

func backup(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	data, file, err := fileArgs("backup", args, stderr)
	if err != nil {
		return err
	}
	if err := app.Backup(ctx, data, file); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "the store is in", file)
	return nil
}

func restore(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	data, file, err := fileArgs("restore", args, stderr)
	if err != nil {
		return err
	}
	kept, err := app.Restore(ctx, file, data, cliEntry("store.restore", filepath.Base(file), nil))
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "restored; start the ruler: it goes on from where the backup was made")
	if kept != "" {
		fmt.Fprintln(stdout, "the store that was there is", kept)
	}
	return nil
}
