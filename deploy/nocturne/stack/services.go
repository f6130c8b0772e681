package stack

import (
	"strconv"
	"time"

	"nocturne/deploy/nocturne/supervise"
)

// How long each part gets to end; one stage after the other they stay below ten seconds.
const (
	agentStop  = 2 * time.Second
	rulerStop  = 2 * time.Second
	bridgeStop = 2 * time.Second
	storeStop  = 3 * time.Second
)

// rulerReady is long because a ruler brings its store to a new version's schema
// before it answers; one that ends is noticed at once.
const rulerReady = 30 * time.Minute

// Simulator is the name of the part that plays servers.
const Simulator = "simulator"

// stages lists the parts in the order of their start: stores, bridge, ruler, agents.
func (s *stack) stages() [][]supervise.Service {
	var stores []supervise.Service
	if s.Outside.Metrics == "" {
		stores = append(stores, s.metricsStore())
	}
	if s.Outside.Logs == "" {
		stores = append(stores, s.logStore())
	}
	if len(s.Outside.Alertmanagers) == 0 {
		stores = append(stores, s.alertmanager(), s.receiver())
	}
	agents := []supervise.Service{s.exporter()}
	if s.Mode == Demo {
		agents = append(agents, s.simulator())
	}
	return [][]supervise.Service{stores, {s.eventbridge()}, {s.ruler()}, agents}
}

func (s *stack) metricsStore() supervise.Service {
	return supervise.Service{
		Name: "victoria-metrics", Purpose: "metrics database", Path: s.program("victoria-metrics"),
		Args: []string{
			"-storageDataPath=" + s.Part("victoria-metrics"),
			"-httpListenAddr=" + Addr(s.Ports.Metrics),
			"-retentionPeriod=" + s.Keep.Metrics,
			"-dedup.minScrapeInterval=1ms", // a batch that is sent again after a restart leaves one sample
			"-search.latencyOffset=1s",     // 30 s by default: the page would lag that much
			"-memory.allowedBytes=1GiB",
			"-promscrape.config=" + s.Config("scrape"),
			"-promscrape.suppressScrapeErrorsDelay=1m", // what starts after it does not answer yet
		},
		Ports:    []supervise.Port{{Addr: Addr(s.Ports.Metrics), Purpose: "the metrics database"}},
		Ready:    supervise.HTTPReady(URL(s.Ports.Metrics) + "/health"),
		StopWait: storeStop,
	}
}

func (s *stack) logStore() supervise.Service {
	return supervise.Service{
		Name: "victoria-logs", Purpose: "log database", Path: s.program("victoria-logs"),
		Args: []string{
			"-storageDataPath=" + s.Part("victoria-logs"),
			"-httpListenAddr=" + Addr(s.Ports.Logs),
			"-retentionPeriod=" + s.Keep.Logs.String(),
			"-retention.maxDiskSpaceUsageBytes=" + s.Keep.LogDisk,
			"-insert.maxLineSizeBytes=2MiB", // a longer line takes its neighbours with it; records stay below
			"-memory.allowedBytes=512MiB",
		},
		Ports:    []supervise.Port{{Addr: Addr(s.Ports.Logs), Purpose: "the log database"}},
		Ready:    supervise.HTTPReady(URL(s.Ports.Logs) + "/health"),
		StopWait: storeStop,
	}
}

func (s *stack) alertmanager() supervise.Service {
	return supervise.Service{
		Name: "alertmanager", Purpose: "sends notifications to people", Path: s.program("nocturne"),
		Args: []string{
			"alertmanager", "--config", s.Config("alertmanager"), "--data", s.Part("alertmanager"),
			"--listen", Addr(s.Ports.Alertmanager),
		},
		Ports:    []supervise.Port{{Addr: Addr(s.Ports.Alertmanager), Purpose: "Alertmanager"}},
		Ready:    supervise.HTTPReady(URL(s.Ports.Alertmanager) + "/-/ready"),
		StopWait: storeStop,
	}
}

func (s *stack) receiver() supervise.Service {
	return supervise.Service{
		Name: "receiver", Purpose: "keeps delivered messages", Path: s.program("nocturne"),
		Args:     []string{"receiver", "--data", s.Part("receiver"), "--listen", Addr(s.Ports.Receiver)},
		Ports:    []supervise.Port{{Addr: Addr(s.Ports.Receiver), Purpose: "the receiver of messages"}},
		Ready:    supervise.HTTPReady(URL(s.Ports.Receiver) + "/healthz"),
		StopWait: storeStop,
	}
}

func (s *stack) eventbridge() supervise.Service {
	ports := []supervise.Port{
		{Addr: Addr(s.Ports.Ingest), Purpose: "records from this machine"},
		{Addr: Addr(s.Ports.Admin), Purpose: "administration of the bridge"},
		{Addr: Addr(s.Ports.Stream), Purpose: "the stream"},
	}
	if s.Listen != "" {
		ports = append(ports, supervise.Port{Addr: s.Listen, Purpose: "records from other servers (--listen)"})
	}
	return supervise.Service{
		Name: "eventbridge", Purpose: "takes records and stores them", Path: s.program("eventbridge"),
		Args:     []string{"--config", s.Config("eventbridge")},
		Ports:    ports,
		Ready:    supervise.HTTPReady(URL(s.Ports.Ingest) + "/healthz"),
		StopWait: bridgeStop,
	}
}

func (s *stack) ruler() supervise.Service {
	return supervise.Service{
		Name: "ruler", Purpose: "keeps the state, finds problems, serves the page", Path: s.program("ruler"),
		Args:      []string{"--config", s.Config("ruler")},
		Ports:     []supervise.Port{{Addr: s.Page.Addr(s.Ports.Ruler), Purpose: "the page and the API"}},
		Ready:     supervise.TLSReady(s.Page.Here(s.Ports.Ruler)+"/healthz", s.Page.Believes()),
		ReadyWait: rulerReady,
		StopWait:  rulerStop,
	}
}

func (s *stack) exporter() supervise.Service {
	return supervise.Service{
		Name: "exporter", Purpose: "watches this machine", Path: s.program("exporter"),
		Args:     []string{"run", "--config", s.Config("exporter")},
		Ports:    []supervise.Port{{Addr: Addr(s.Ports.Exporter), Purpose: "this machine's metrics"}},
		Prepare:  s.enrolExporter,
		Ready:    supervise.HTTPReady(URL(s.Ports.Exporter) + "/healthz"),
		StopWait: agentStop,
	}
}

func (s *stack) simulator() supervise.Service {
	return supervise.Service{
		Name: Simulator, Purpose: "plays servers that do not exist", Path: s.program("nocturne"),
		Args:     append([]string{"simulate", "--demo", "--data", s.Dir, "--servers", strconv.Itoa(s.Servers)}, s.Simulate...),
		Ports:    []supervise.Port{{Addr: Addr(s.Ports.Simulator), Purpose: "the simulator's control"}},
		Ready:    supervise.HTTPReady(URL(s.Ports.Simulator) + "/healthz"),
		StopWait: agentStop,
	}
}
