import java.net.URI;
import java.nio.charset.StandardCharsets;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.sns.SnsClient;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.Message;

/** Queues of SQS and topics of SNS. Messages are deleted when they are handled. */
final class AwsEnd {
    private static SqsClient sqs() {
        return configure(SqsClient.builder().httpClientBuilder(UrlConnectionHttpClient.builder())).build();
    }

    private static <B extends AwsClientBuilder<B, ?>> B configure(B builder) {
        return builder.endpointOverride(URI.create(System.getenv("AWS_ENDPOINT_URL")));
    }

    static Relay.Target queue(String url) {
        SqsClient sqs = sqs();
        return body -> sqs.sendMessage(request -> request.queueUrl(url).messageBody(text(body)));
    }

    static Relay.Target topic(String arn) {
        SnsClient sns =
                configure(SnsClient.builder().httpClientBuilder(UrlConnectionHttpClient.builder())).build();
        return body -> sns.publish(request -> request.topicArn(arn).message(text(body)));
    }

    private static String text(byte[] body) {
        return new String(body, StandardCharsets.UTF_8);
    }

    static final class Source implements Relay.Source {
        private final String url;
        private final int most;

        /** Receives at most {@code most} messages at a time. */
        Source(String url, int most) {
            this.url = url;
            this.most = most;
        }

        @Override
        public void relay(int count, Relay.Target target) throws Exception {
            SqsClient sqs = sqs();
            Relay.ready();
            for (int handled = 0; handled < count; ) {
                var answer = sqs.receiveMessage(
                        request -> request.queueUrl(url).waitTimeSeconds(1).maxNumberOfMessages(most));
                for (Message message : answer.messages()) {
                    target.send(message.body().getBytes(StandardCharsets.UTF_8));
                    sqs.deleteMessage(request -> request.queueUrl(url).receiptHandle(message.receiptHandle()));
                    handled++;
                }
            }
        }
    }
}
