// Runs the HTTP receiver of Datadog's Agent on a port of loopback, in front of an intake.
//
// Usage: receiver PORT INTAKE_URL
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

// What the receiver decodes itself, traces and their statistics, ends here.
type discard struct{}

func (discard) ProcessStats(context.Context, *pb.ClientStatsPayload, string, string, string, string) error {
	return nil
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	intake := []*config.Endpoint{{Host: os.Args[2], APIKey: "none"}}
	conf := config.New()
	conf.Hostname, conf.AgentVersion = "receiver", "7.85.4"
	conf.ReceiverHost, conf.ReceiverPort = "127.0.0.1", port
	conf.Endpoints, conf.TelemetryConfig.Endpoints = intake, intake
	conf.EVPProxy.Enabled, conf.OpenLineageProxy.Enabled = false, false

	traces, tracesV1 := make(chan *api.Payload), make(chan *api.PayloadV1)
	receiver := api.NewHTTPReceiver(conf, sampler.NewDynamicConfig(), traces, tracesV1, discard{},
		telemetry.NewNoopCollector(), &statsd.NoOpClient{}, &timing.NoopReporter{})
	receiver.Start()
	for {
		select {
		case <-traces:
		case <-tracesV1:
		}
	}
}
