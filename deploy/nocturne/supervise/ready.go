package supervise

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"
)

const readyRequestTimeout = 2 * time.Second

// HTTPReady returns a Ready function that is content with a 2xx answer from url.
func HTTPReady(url string) func(context.Context) error { return TLSReady(url, nil) }

// TLSReady is the same where url is https, and somebody is believed; nil = whom the system believes.
func TLSReady(url string, believed *tls.Config) func(context.Context) error {
	client := http.DefaultClient
	if believed != nil {
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: believed, DisableKeepAlives: true}}
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, readyRequestTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
		if res.StatusCode/100 != 2 {
			return fmt.Errorf("%s answers %s", url, res.Status)
		}
		return nil
	}
}
