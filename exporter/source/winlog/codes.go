package winlog

import "fmt"

// Windows' error codes that mean something to us (winerror.h).
const (
	codeInsufficientBuffer = 122
	codeNoMoreItems        = 259
	codeInvalidHandle      = 6
	codeInvalidParameter   = 87
	codeNotFound           = 1168
	codeServerUnavailable  = 1722
	codeInvalidBound       = 1734
	codeCallCancelled      = 1818
	codeInvalidOperation   = 4317 // of a pull subscription: nothing yet
	codeInvalidQuery       = 15001
	codeChannelNotFound    = 15007
	codeQueryResultStale   = 15011
	codeInvalidPosition    = 15012
	codeUnresolvedValue    = 15029 // of EvtFormatMessage: the text is there, with holes
	codeUnresolvedParam    = 15030
	codePublisherDisabled  = 15037
)

// classify sorts a code into the errors of EventAPI. A call that gave no handle
// and no code has failed too.
func classify(call string, code uint32) error {
	err := fmt.Errorf("%s: Windows error %d", call, code)
	switch code {
	case codeNotFound, codeInvalidPosition:
		return fmt.Errorf("%w (%w)", err, ErrBookmarkLost)
	case codeChannelNotFound:
		return fmt.Errorf("%w (%w)", err, ErrNoChannel)
	case codeInvalidBound:
		return fmt.Errorf("%w (%w)", err, ErrTooMany)
	case codeInvalidHandle, codeInvalidParameter, codeServerUnavailable, codeCallCancelled, codeQueryResultStale, codePublisherDisabled:
		return fmt.Errorf("%w (%w)", err, ErrStale)
	}
	return err
}

// nothingYet tells whether a code of EvtNext means that there are no events
// now.
func nothingYet(code uint32) bool { return code == codeNoMoreItems || code == codeInvalidOperation }
