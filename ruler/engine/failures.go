package engine

import (
	"maps"
	"sync"
	"time"

	"nocturne/ruler/operator"
)

// Failure is how often a rule's conditions could not be evaluated since the
// ruler started, and why the last time.
type Failure struct {
	Records  int64
	Reason   string
	RecordID string
	At       time.Time // stream time
}

// failures keeps them by rule id, for metrics, the log and whoever explains a
// rule.
type failures struct {
	mu   sync.Mutex
	all  map[string]Failure
	told map[string]time.Time // wall clock of the last line in the log
}

// logFailures is how often the log says that a rule's conditions fail.
const logFailures = time.Minute

func (f *failures) add(m map[string]Failure, now time.Time) (log map[string]Failure) {
	if len(m) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all, f.told = map[string]Failure{}, map[string]time.Time{}
	}
	for id, v := range m {
		v.Records += f.all[id].Records
		f.all[id] = v
		if last, ok := f.told[id]; ok && now.Sub(last) < logFailures {
			continue
		}
		f.told[id] = now
		if log == nil {
			log = map[string]Failure{}
		}
		log[id] = v
	}
	return log
}

// ConditionFailures returns, by rule id, what could not be evaluated.
func (e *Engine) ConditionFailures() map[string]Failure {
	e.failures.mu.Lock()
	defer e.failures.mu.Unlock()
	return maps.Clone(e.failures.all)
}

// failed counts a verdict that says so. It does nothing else: what could not be
// evaluated neither opens nor closes anything.
func (p *partition) failed(v operator.Verdict) {
	if p.counts.failed == nil {
		p.counts.failed = map[string]Failure{}
	}
	f := p.counts.failed[v.RuleID]
	p.counts.failed[v.RuleID] = Failure{Records: f.Records + 1, Reason: v.Reason, RecordID: v.RecordID, At: v.At}
}
