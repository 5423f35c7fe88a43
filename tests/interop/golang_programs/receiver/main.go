// Receiver runs the HTTP receiver of Datadog's Agent on a port of loopback, in front of an intake: see
// tests/interop/receiver.py.
//
//	receiver PORT INTAKE_URL
package main

import (
	"context"
	"log"
	"os"
	"strconv"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/trace/api"
	"github.com/DataDog/datadog-agent/pkg/trace/config"
	"github.com/DataDog/datadog-agent/pkg/trace/sampler"
	"github.com/DataDog/datadog-agent/pkg/trace/telemetry"
	"github.com/DataDog/datadog-agent/pkg/trace/timing"
	"github.com/DataDog/datadog-go/v5/statsd"
)

const version = "7.85.4" // of the Agent that pkg/trace in go.mod belongs to

// discard ends the way of statistics of traces, which the receiver does not forward unread.
type discard struct{}

func (discard) ProcessStats(context.Context, *pb.ClientStatsPayload, string, string, string, string) error {
	return nil
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	traces, tracesV1 := make(chan *api.Payload), make(chan *api.PayloadV1)
	receiver := api.NewHTTPReceiver(
		configure(port, os.Args[2]),
		sampler.NewDynamicConfig(),
		traces,
		tracesV1,
		discard{},
		telemetry.NewNoopCollector(),
		&statsd.NoOpClient{},
		&timing.NoopReporter{},
	)
	receiver.Start()
	for { // traces end here too
		select {
		case <-traces:
		case <-tracesV1:
		}
	}
}

// configure returns a configuration with which nothing is sent to anybody but the intake.
func configure(port int, url string) *config.AgentConfig {
	conf := config.New()
	conf.Hostname, conf.AgentVersion = "receiver", version
	conf.ReceiverHost, conf.ReceiverPort = "127.0.0.1", port
	conf.Endpoints = []*config.Endpoint{{Host: url, APIKey: "none"}}
	conf.TelemetryConfig.Endpoints = nil
	conf.EVPProxy.Enabled, conf.OpenLineageProxy.Enabled = false, false
	return conf
}
