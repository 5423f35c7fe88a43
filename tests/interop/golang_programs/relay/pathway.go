package main

import (
	"context"
	"errors"

	"github.com/DataDog/dd-trace-go/v2/datastreams"
	"github.com/DataDog/dd-trace-go/v2/datastreams/options"
	"github.com/DataDog/dd-trace-go/v2/ddtrace/tracer"
)

var errNoDataStreams = errors.New("the tracer records no Data Streams")

// headers are those of a message of any broker; the tracer reads and writes pathways there.
type headers map[string]string

func (h headers) Set(key, value string) { h[key] = value }

func (h headers) ForeachKey(handle func(key, value string) error) error {
	for key, value := range h {
		if err := handle(key, value); err != nil {
			return err
		}
	}
	return nil
}

// consume sets a checkpoint by hand, where the tracer has no integration, and returns a context with the new pathway.
func consume(ctx context.Context, in headers, size int, tags ...string) (context.Context, error) {
	return checkpoint(datastreams.ExtractFromBase64Carrier(ctx, in), size, append(tags, "direction:in")...)
}

// produce does the same for a message that is sent, and returns the headers that it needs.
func produce(ctx context.Context, size int, tags ...string) (headers, error) {
	ctx, err := checkpoint(ctx, size, append(tags, "direction:out")...)
	out := headers{}
	datastreams.InjectToBase64Carrier(ctx, out)
	return out, err
}

func checkpoint(ctx context.Context, size int, tags ...string) (context.Context, error) {
	ctx, ok := tracer.SetDataStreamsCheckpointWithParams(ctx, options.CheckpointParams{PayloadSize: int64(size)}, tags...)
	if !ok {
		return ctx, errNoDataStreams
	}
	return ctx, nil
}
