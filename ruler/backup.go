package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"nocturne/ruler/app"
	"nocturne/ruler/config"
)

func backupCommands() []command {
	return []command{
		{"backup", "[-config FILE] FILE", "copy the store into a new file, also while the ruler works", backup},
		{"restore", "[-config FILE] FILE", "put a backup in the place of the store; the ruler must be stopped", restore},
	}
}

// fileArgs reads the flags and the one file of backup and restore.
func fileArgs(name string, args []string, stdout io.Writer) (data, file string, err error) {
	fs := ruleFlags(name, argsOf(name), stdout)
	path := fs.String("config", "", "the ruler's configuration file; without one the defaults hold")
	rest, err := parseFlags(fs, args)
	if err != nil {
		return "", "", err
	}
	if len(rest) != 1 {
		return "", "", fmt.Errorf("ruler %s: name one file: %w", name, errUsage)
	}
	cfg, err := config.Load(*path)
	return cfg.Data, rest[0], err
}

func backup(ctx context.Context, args []string, stdout, _ io.Writer) error {
	data, file, err := fileArgs("backup", args, stdout)
	if err != nil {
		return err
	}
	if err := app.HasStore(data); err != nil {
		return err
	}
	if err := app.Backup(ctx, data, file); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "the store is in", file)
	return nil
}

func restore(ctx context.Context, args []string, stdout, _ io.Writer) error {
	data, file, err := fileArgs("restore", args, stdout)
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
