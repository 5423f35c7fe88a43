// Relay reads COUNT messages from SOURCE and sends one to TARGET for each: see tests/interop/relay.py.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/DataDog/dd-trace-go/v2/ddtrace/tracer"
)

const patience = 60 * time.Second

// A Source reads messages one at a time. The context that comes with a message has its pathway.
type Source interface {
	Read(ctx context.Context) (body []byte, pathway context.Context, err error)
	Close() error
}

// A Target sends messages. The context has the pathway of the message that was read.
type Target interface {
	Send(ctx context.Context, body []byte) error
	Close() error
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := tracer.Start(tracer.WithLogStartup(false)); err != nil {
		fail(err)
	}
	if err := relay(ctx, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fail(err)
	}
	tracer.Flush() // Stop alone drops what it has not aggregated yet
	tracer.Stop()
	fmt.Println("done")
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func relay(ctx context.Context, from, to, number string) error {
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	target, err := openTarget(ctx, to)
	if err != nil {
		return fmt.Errorf("target: %w", err)
	}
	source, err := openSource(ctx, from)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	fmt.Println("ready")
	for range count {
		body, pathway, err := source.Read(ctx)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if err := target.Send(pathway, body); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	if err := source.Close(); err != nil {
		return err
	}
	return target.Close()
}

func openSource(ctx context.Context, place string) (Source, error) {
	broker, name, _ := strings.Cut(place, ":")
	switch broker {
	case "kafka":
		return openKafkaSource(ctx, name)
	case "rabbitmq":
		return openRabbitMQSource(name)
	case "sqs":
		return &sqsSource{newSQS(), name}, nil
	case "-":
		return &numbers{}, nil
	}
	return nil, fmt.Errorf("no such source: %s", place)
}

func openTarget(ctx context.Context, place string) (Target, error) {
	broker, name, _ := strings.Cut(place, ":")
	switch broker {
	case "kafka":
		return openKafkaTarget(ctx, name)
	case "rabbitmq":
		return openRabbitMQTarget(name)
	case "sqs":
		return sqsTarget{newSQS(), name}, nil
	case "-":
		return nowhere{}, nil
	}
	return nil, fmt.Errorf("no such target: %s", place)
}

// numbers makes the messages "0", "1", … without a pathway.
type numbers struct{ next int }

func (n *numbers) Read(ctx context.Context) ([]byte, context.Context, error) {
	body := strconv.Itoa(n.next)
	n.next++
	return []byte(body), ctx, nil
}

func (*numbers) Close() error { return nil }

type nowhere struct{}

func (nowhere) Send(context.Context, []byte) error { return nil }

func (nowhere) Close() error { return nil }
