package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// contentType checks the media type of a request.
func contentType(req *http.Request, want ...string) (string, error) {
	got, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err == nil {
		for _, w := range want {
			if got == w {
				return got, nil
			}
		}
	}
	return "", refuse(http.StatusUnsupportedMediaType, reasonContentType, "send Content-Type: "+strings.Join(want, " or "), "content type %.80q", req.Header.Get("Content-Type"))
}

// noEncoding refuses a body that is packed as a whole.
func noEncoding(req *http.Request) error {
	if e := req.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return refuse(http.StatusUnsupportedMediaType, reasonEncoding, "send the body as it is; frames are packed already", "content encoding %.40q", e)
	}
	return nil
}

// read reads a whole body of at most limit bytes. release gives its memory
// back and must be called once the bytes are no longer needed.
func (h *Handler) read(w http.ResponseWriter, req *http.Request, limit int64) (body []byte, release func(), err error) {
	release = func() {}
	tooLarge := refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "split the request", "body of more than %d bytes", limit)
	if req.ContentLength > limit {
		return nil, release, tooLarge
	}
	reserve := req.ContentLength
	if reserve < 0 {
		reserve = limit
	}
	free, err := h.reserve(req, reserve)
	if err != nil {
		return nil, release, err
	}
	release = free
	r := http.MaxBytesReader(w, req.Body, limit)
	if req.ContentLength >= 0 {
		body = make([]byte, req.ContentLength)
		_, err = io.ReadFull(r, body)
	} else {
		body, err = io.ReadAll(r)
	}
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return nil, release, tooLarge
	case err != nil:
		return nil, release, refuse(http.StatusBadRequest, reasonBody, "send the whole body within the read timeout", "read body: %v", err)
	}
	return body, release, nil
}

// reserve takes memory out of what all requests share.
func (h *Handler) reserve(req *http.Request, n int64) (func(), error) {
	ctx, cancel := context.WithTimeout(req.Context(), h.Config.QueueWait)
	defer cancel()
	if err := h.memory.Acquire(ctx, n); err != nil {
		return nil, refuse(http.StatusServiceUnavailable, reasonBusy, hintBusy, "the memory for requests is all in use")
	}
	return func() { h.memory.Release(n) }, nil
}

// unpack undoes the content encoding of an OTLP body, to at most limit bytes.
func unpack(encoding string, body []byte, limit int64) ([]byte, error) {
	var r io.Reader
	switch strings.ToLower(encoding) {
	case "", "identity":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, badPack("gzip", err)
		}
		r = z
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, badPack("zstd", err)
		}
		defer z.Close()
		r = z
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, reasonEncoding, "send Content-Encoding: gzip, zstd or identity", "content encoding %.40q", encoding)
	}
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case int64(len(out)) > limit, errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, refuse(http.StatusRequestEntityTooLarge, reasonTooLarge, "send smaller batches", "body of more than %d bytes after unpacking", limit)
	case err != nil:
		return nil, badPack(encoding, err)
	}
	return out, nil
}

func badPack(encoding string, err error) error {
	return refuse(http.StatusBadRequest, reasonUnpack, "the body is not what Content-Encoding says", "unpack %s: %v", encoding, err)
}
