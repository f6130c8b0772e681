package winlog

import (
	"errors"
	"fmt"
)

// Windows' error codes that mean something to us (winerror.h).
const (
	codeInvalidFunction    = 1 // stands for a failure without a code
	codeInvalidHandle      = 6
	codeInvalidParameter   = 87
	codeInsufficientBuffer = 122
	codeNoMoreItems        = 259
	codeNotFound           = 1168
	codeServerUnavailable  = 1722
	codeInvalidBound       = 1734
	codeCallCancelled      = 1818
	codeInvalidOperation   = 4317 // of a pull subscription: nothing yet
	codeInvalidQuery       = 15001
	codeChannelNotFound    = 15007
	codeQueryResultStale   = 15011
	codeInvalidPosition    = 15012
	codeDirectChannel      = 15025 // analytic and debug logs cannot be subscribed to
	codeUnresolvedValue    = 15029 // of EvtFormatMessage: the text is there, with holes
	codeUnresolvedParam    = 15030
	codePublisherDisabled  = 15037
)

// callError is a call into Windows that failed.
type callError struct {
	call string
	code uint32
}

func (e *callError) Error() string { return fmt.Sprintf("%s: Windows error %d", e.call, e.code) }

// serviceGone tells whether a failure is the event log service's, and not that
// of the one event that was asked for.
func serviceGone(err error) bool {
	var c *callError
	return errors.As(err, &c) && (c.code == codeInvalidHandle || c.code == codeServerUnavailable || c.code == codeCallCancelled)
}

// classify sorts a code into the errors of EventAPI. A call that gave no handle
// and no code has failed too.
func classify(call string, code uint32) error {
	err := error(&callError{call, code})
	switch code {
	case codeNotFound, codeInvalidPosition:
		return fmt.Errorf("%w (%w)", err, ErrBookmarkLost)
	case codeChannelNotFound, codeDirectChannel:
		return fmt.Errorf("%w (%w)", err, ErrNoChannel)
	case codeInvalidBound:
		return fmt.Errorf("%w (%w)", err, ErrTooMany)
	case codeInvalidQuery:
		return fmt.Errorf("%w (%w)", err, ErrQuery)
	case codeInvalidHandle, codeInvalidParameter, codeServerUnavailable, codeCallCancelled, codeQueryResultStale, codePublisherDisabled:
		return fmt.Errorf("%w (%w)", err, ErrStale)
	}
	return err
}

// nothingYet tells whether a code of EvtNext means that there are no events
// now.
func nothingYet(code uint32) bool { return code == codeNoMoreItems || code == codeInvalidOperation }

// outcome returns the code of a call that answers whether it worked: 0 if it
// did, never 0 if it did not.
func outcome(worked bool, code uint32) uint32 {
	switch {
	case worked:
		return 0
	case code == 0:
		return codeInvalidFunction
	}
	return code
}

// Sizes of buffers for what Windows renders, in characters. The first holds
// almost every event, so that it is rendered once.
const (
	firstBuffer = 16 << 10
	maxRendered = 2 << 20
)

// rendered calls a function of Windows that writes text, with a larger buffer
// while it asks for one, and returns the length of the text. call returns how
// many characters it wrote or needs, and a code, 0 for success.
func rendered(name string, buf *[]uint16, call func(buf []uint16) (used int, code uint32)) (int, error) {
	for {
		used, code := call(*buf)
		if code == 0 || code == codeUnresolvedValue || code == codeUnresolvedParam {
			return min(used, len(*buf)), nil
		}
		if code != codeInsufficientBuffer || used <= len(*buf) || used > maxRendered {
			return 0, classify(name, code)
		}
		*buf = make([]uint16, used)
	}
}
