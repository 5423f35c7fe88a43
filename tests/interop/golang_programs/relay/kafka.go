package main

import (
	"context"
	"os"
	"time"

	trace "github.com/DataDog/dd-trace-go/contrib/segmentio/kafka-go/v2"
	"github.com/DataDog/dd-trace-go/v2/datastreams"
	"github.com/segmentio/kafka-go"
)

var bootstrap = os.Getenv("KAFKA_BOOTSTRAP_SERVERS")

type kafkaSource struct{ *trace.Reader }

func openKafkaSource(ctx context.Context, topic string) (Source, error) {
	reader := trace.NewReader(kafka.ReaderConfig{
		Brokers:     []string{bootstrap},
		GroupID:     "relay-" + os.Getenv("DD_SERVICE"),
		Topic:       topic,
		StartOffset: kafka.FirstOffset,
		// Soon, where the defaults are five and ten seconds: to ask again for a coordinator that is still starting, and to
		// notice while waiting for messages that the reader was closed.
		JoinGroupBackoff: 100 * time.Millisecond,
		MaxWait:          100 * time.Millisecond,
	}, trace.WithDataStreams())
	return kafkaSource{reader}, waitForClusterID(ctx)
}

func (s kafkaSource) Read(ctx context.Context) ([]byte, context.Context, error) {
	message, err := s.ReadMessage(ctx)
	in := headers{} // the tracer has put the pathway of the consumed message there
	for _, header := range message.Headers {
		in[header.Key] = string(header.Value)
	}
	return message.Value, datastreams.ExtractFromBase64Carrier(ctx, in), err
}

type kafkaTarget struct{ *trace.KafkaWriter }

func openKafkaTarget(ctx context.Context, topic string) (Target, error) {
	writer := kafka.Writer{Addr: kafka.TCP(bootstrap), Topic: topic, RequiredAcks: kafka.RequireAll, BatchSize: 1}
	target := kafkaTarget{trace.WrapWriter(&writer, trace.WithDataStreams())}
	return target, waitForClusterID(ctx)
}

// waitForClusterID gives the tracer the time that it needs to ask for the cluster's id, which becomes one of the tags.
//
// The tracer asks in the background, and does not say when it knows. Metadata comes to this request at the same time,
// and the request after it goes to the broker and back.
func waitForClusterID(ctx context.Context) error {
	client := kafka.Client{Addr: kafka.TCP(bootstrap)}
	if _, err := client.Metadata(ctx, &kafka.MetadataRequest{}); err != nil {
		return err
	}
	_, err := client.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	return err
}

func (t kafkaTarget) Send(ctx context.Context, body []byte) error {
	out := headers{} // the tracer reads the pathway there, and replaces it
	datastreams.InjectToBase64Carrier(ctx, out)
	message := kafka.Message{Value: body}
	for key, value := range out {
		message.Headers = append(message.Headers, kafka.Header{Key: key, Value: []byte(value)})
	}
	return t.WriteMessages(ctx, message)
}
