package main

import (
	"context"
	"errors"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

var errCanceled = errors.New("RabbitMQ ended the subscription")

func openChannel() (*amqp.Connection, *amqp.Channel, error) {
	connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		return nil, nil, err
	}
	channel, err := connection.Channel()
	return connection, channel, err
}

type rabbitMQSource struct {
	*amqp.Connection
	queue      string
	deliveries <-chan amqp.Delivery
}

func openRabbitMQSource(queue string) (Source, error) {
	connection, channel, err := openChannel()
	if err != nil {
		return nil, err
	}
	if err := channel.Qos(1, 0, false); err != nil {
		return nil, err
	}
	deliveries, err := channel.Consume(queue, "", false, false, false, false, nil)
	return rabbitMQSource{connection, queue, deliveries}, err
}

func (s rabbitMQSource) Read(ctx context.Context) ([]byte, context.Context, error) {
	select {
	case delivery, ok := <-s.deliveries:
		if !ok {
			return nil, ctx, errCanceled
		}
		in := headers{}
		for key, value := range delivery.Headers {
			if text, ok := value.(string); ok {
				in[key] = text
			}
		}
		pathway, err := consume(ctx, in, len(delivery.Body), "type:rabbitmq", "topic:"+s.queue)
		return delivery.Body, pathway, errors.Join(err, delivery.Ack(false))
	case <-ctx.Done():
		return nil, ctx, ctx.Err()
	}
}

type rabbitMQTarget struct {
	*amqp.Connection
	channel *amqp.Channel
	queue   string
}

func openRabbitMQTarget(queue string) (Target, error) {
	connection, channel, err := openChannel()
	if err != nil {
		return nil, err
	}
	return rabbitMQTarget{connection, channel, queue}, channel.Confirm(false)
}

func (t rabbitMQTarget) Send(ctx context.Context, body []byte) error {
	out, err := produce(ctx, len(body), "type:rabbitmq", "topic:"+t.queue)
	if err != nil {
		return err
	}
	message := amqp.Publishing{Body: body, Headers: amqp.Table{}}
	for key, value := range out {
		message.Headers[key] = value
	}
	confirmation, err := t.channel.PublishWithDeferredConfirmWithContext(ctx, "", t.queue, true, false, message)
	if err != nil {
		return err
	}
	_, err = confirmation.WaitContext(ctx)
	return err
}
