package winlog

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	wevtapi                  = windows.NewLazySystemDLL("wevtapi.dll")
	evtSubscribe             = wevtapi.NewProc("EvtSubscribe")
	evtNext                  = wevtapi.NewProc("EvtNext")
	evtRender                = wevtapi.NewProc("EvtRender")
	evtCreateBookmark        = wevtapi.NewProc("EvtCreateBookmark")
	evtUpdateBookmark        = wevtapi.NewProc("EvtUpdateBookmark")
	evtClose                 = wevtapi.NewProc("EvtClose")
	evtOpenPublisherMetadata = wevtapi.NewProc("EvtOpenPublisherMetadata")
	evtFormatMessage         = wevtapi.NewProc("EvtFormatMessage")
)

// Flags of winevt.h.
const (
	subscribeFuture        = 1
	subscribeOldest        = 2
	subscribeAfterBookmark = 3
	subscribeStrict        = 0x10000
	renderXML              = 1
	renderBookmark         = 2
	formatMessageEvent     = 1
	maxPublishers          = 128
	maxRendered            = 2 << 20 // characters
)

// open returns Windows' own event log.
func open() (EventAPI, error) {
	if err := wevtapi.Load(); err != nil {
		return nil, fmt.Errorf("load wevtapi.dll: %w (%w)", err, errors.ErrUnsupported)
	}
	return system{}, nil
}

type system struct{}

type handle = uintptr

func code(err error) uint32 {
	var e syscall.Errno
	if errors.As(err, &e) {
		return uint32(e)
	}
	return 0
}

func closeHandle(h handle) {
	if h != 0 {
		_, _, _ = evtClose.Call(h) // nothing to be done about a handle that is not one
	}
}

// subscription is a pull subscription with its signal.
type subscription struct {
	result   handle
	signal   windows.Handle
	bookmark handle
	// publishers opened for their messages; 0 = has none.
	publishers map[string]handle
	buf        []uint16
}

// Subscribe implements EventAPI.
func (system) Subscribe(ch Channel, from Start) (Subscription, error) {
	path, err := windows.UTF16PtrFromString(ch.Name)
	if err != nil {
		return nil, err
	}
	query := ch.Query
	if query == "" {
		query = "*"
	}
	q, err := windows.UTF16PtrFromString(query)
	if err != nil {
		return nil, err
	}
	signal, err := windows.CreateEvent(nil, 1, 1, nil)
	if err != nil {
		return nil, fmt.Errorf("create the signal: %w", err)
	}
	s := &subscription{signal: signal, publishers: map[string]handle{}, buf: make([]uint16, 16<<10)}
	flags := uintptr(subscribeFuture)
	switch {
	case from.Bookmark != "":
		b, err := windows.UTF16PtrFromString(from.Bookmark)
		if err != nil {
			_ = s.Close()
			return nil, err
		}
		h, _, err := evtCreateBookmark.Call(uintptr(unsafe.Pointer(b)))
		if h == 0 {
			_ = s.Close()
			return nil, classify("EvtCreateBookmark", code(err))
		}
		s.bookmark = h
		flags = subscribeAfterBookmark | subscribeStrict
	case from.Oldest:
		flags = subscribeOldest
	}
	h, _, err := evtSubscribe.Call(0, uintptr(signal), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(q)), s.bookmark, 0, 0, flags)
	if h == 0 {
		_ = s.Close()
		return nil, classify("EvtSubscribe", code(err))
	}
	s.result = h
	return s, nil
}

// Close implements Subscription.
func (s *subscription) Close() error {
	closeHandle(s.result)
	closeHandle(s.bookmark)
	for _, h := range s.publishers {
		closeHandle(h)
	}
	s.result, s.bookmark, s.publishers = 0, 0, nil
	err := windows.CloseHandle(s.signal)
	return err
}

// Next implements Subscription.
func (s *subscription) Next(ctx context.Context, n int) (Batch, error) {
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return Batch{}, fmt.Errorf("create the stop signal: %w", err)
	}
	defer func() { _ = windows.CloseHandle(stop) }()
	undo := context.AfterFunc(ctx, func() { _ = windows.SetEvent(stop) })
	defer undo()
	events := make([]handle, max(n, 1))
	for {
		// Reset before asking: an event that comes in between sets it again.
		if err := windows.ResetEvent(s.signal); err != nil {
			return Batch{}, fmt.Errorf("reset the signal: %w", err)
		}
		var got uint32
		ok, _, err := evtNext.Call(s.result, uintptr(len(events)), uintptr(unsafe.Pointer(&events[0])), 0, 0, uintptr(unsafe.Pointer(&got)))
		if ok != 0 && got > 0 {
			return s.batch(events[:min(int(got), len(events))])
		}
		if c := code(err); ok == 0 && !nothingYet(c) {
			return Batch{}, classify("EvtNext", c)
		}
		if err := ctx.Err(); err != nil {
			return Batch{}, err
		}
		// The wait ends now and then: a signal that Windows forgot is found.
		if _, err := windows.WaitForMultipleObjects([]windows.Handle{stop, s.signal}, false, 30_000); err != nil {
			return Batch{}, fmt.Errorf("wait for events: %w", err)
		}
	}
}

func (s *subscription) batch(events []handle) (b Batch, err error) {
	defer func() {
		for _, h := range events {
			closeHandle(h)
		}
	}()
	for _, h := range events {
		text, err := s.render(h, renderXML)
		if err != nil {
			return Batch{}, err
		}
		b.Events = append(b.Events, Event{XML: text, Message: s.message(h, text)})
	}
	if s.bookmark == 0 {
		h, _, err := evtCreateBookmark.Call(0)
		if h == 0 {
			return Batch{}, classify("EvtCreateBookmark", code(err))
		}
		s.bookmark = h
	}
	if ok, _, err := evtUpdateBookmark.Call(s.bookmark, events[len(events)-1]); ok == 0 {
		return Batch{}, classify("EvtUpdateBookmark", code(err))
	}
	b.Bookmark, err = s.render(s.bookmark, renderBookmark)
	return b, err
}

// render asks for XML, with a larger buffer once if it must be.
func (s *subscription) render(h handle, flags uintptr) (string, error) {
	for {
		var used, properties uint32
		ok, _, err := evtRender.Call(0, h, flags, uintptr(2*len(s.buf)), uintptr(unsafe.Pointer(&s.buf[0])), uintptr(unsafe.Pointer(&used)), uintptr(unsafe.Pointer(&properties)))
		if ok != 0 {
			return windows.UTF16ToString(s.buf[:min(int(used)/2, len(s.buf))]), nil
		}
		need := int(used)/2 + 1
		if code(err) != codeInsufficientBuffer || need <= len(s.buf) || need > maxRendered {
			return "", classify("EvtRender", code(err))
		}
		s.buf = make([]uint16, need)
	}
}

// message formats the event's text with its provider's library; "" where that
// is not possible, which is common and no error.
func (s *subscription) message(h handle, text string) string {
	top, err := parseXML(text)
	if err != nil || top.child("RenderingInfo").child("Message").text != "" {
		return ""
	}
	name := top.child("System").child("Provider").attr("Name")
	p, known := s.publishers[name]
	if !known {
		if len(s.publishers) >= maxPublishers {
			for _, old := range s.publishers {
				closeHandle(old)
			}
			clear(s.publishers)
		}
		if ptr, err := windows.UTF16PtrFromString(name); err == nil {
			p, _, _ = evtOpenPublisherMetadata.Call(0, uintptr(unsafe.Pointer(ptr)), 0, 0, 0)
		}
		s.publishers[name] = p
	}
	if p == 0 {
		return ""
	}
	for {
		var used uint32
		ok, _, err := evtFormatMessage.Call(p, h, 0, 0, 0, formatMessageEvent, uintptr(len(s.buf)), uintptr(unsafe.Pointer(&s.buf[0])), uintptr(unsafe.Pointer(&used)))
		if c := code(err); ok != 0 || c == codeUnresolvedValue || c == codeUnresolvedParam {
			return windows.UTF16ToString(s.buf[:min(int(used), len(s.buf))])
		}
		need := int(used) + 1
		if code(err) != codeInsufficientBuffer || need <= len(s.buf) || need > maxRendered {
			return ""
		}
		s.buf = make([]uint16, need)
	}
}
