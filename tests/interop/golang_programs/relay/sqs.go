package main

import (
	"context"
	"encoding/json"
	"os"
	"path"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const attribute = "_datadog"

func newSQS() *sqs.Client {
	return sqs.New(sqs.Options{
		Region:       os.Getenv("AWS_REGION"),
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}, nil
		}),
	})
}

type sqsSource struct {
	client *sqs.Client
	url    string
}

func (s *sqsSource) Read(ctx context.Context) ([]byte, context.Context, error) {
	request := sqs.ReceiveMessageInput{
		QueueUrl:              &s.url,
		MaxNumberOfMessages:   1,
		MessageAttributeNames: []string{attribute},
		WaitTimeSeconds:       1,
	}
	for {
		answer, err := s.client.ReceiveMessage(ctx, &request)
		if err != nil {
			return nil, ctx, err
		}
		for _, message := range answer.Messages {
			return s.take(ctx, message)
		}
	}
}

func (s *sqsSource) take(ctx context.Context, message types.Message) ([]byte, context.Context, error) {
	in := headers{}
	if value := message.MessageAttributes[attribute].StringValue; value != nil {
		if err := json.Unmarshal([]byte(*value), &in); err != nil {
			return nil, ctx, err
		}
	}
	body := []byte(*message.Body)
	pathway, err := consume(ctx, in, len(body), "type:sqs", "topic:"+path.Base(s.url))
	if err != nil {
		return nil, ctx, err
	}
	deletion := sqs.DeleteMessageInput{QueueUrl: &s.url, ReceiptHandle: message.ReceiptHandle}
	_, err = s.client.DeleteMessage(ctx, &deletion)
	return body, pathway, err
}

func (*sqsSource) Close() error { return nil }

type sqsTarget struct {
	client *sqs.Client
	url    string
}

func (t sqsTarget) Send(ctx context.Context, body []byte) error {
	out, err := produce(ctx, len(body), "type:sqs", "topic:"+path.Base(t.url))
	if err != nil {
		return err
	}
	value, err := json.Marshal(out)
	if err != nil {
		return err
	}
	_, err = t.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:    &t.url,
		MessageBody: aws.String(string(body)),
		MessageAttributes: map[string]types.MessageAttributeValue{
			attribute: {DataType: aws.String("String"), StringValue: aws.String(string(value))},
		},
	})
	return err
}

func (sqsTarget) Close() error { return nil }
