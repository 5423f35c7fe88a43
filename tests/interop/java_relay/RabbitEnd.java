import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import java.io.IOException;
import java.util.concurrent.CompletableFuture;

/** Queues and exchanges of RabbitMQ, which exist already. */
final class RabbitEnd {
    private static Connection connect() throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        // The path "/" would be a virtual host without a name here; elsewhere it is the one that is named "/".
        factory.setUri(System.getenv("AMQP_URL").replaceFirst("/$", ""));
        return factory.newConnection();
    }

    static final class Source implements Relay.Source {
        private final String queue;

        Source(String queue) {
            this.queue = queue;
        }

        @Override
        public void relay(int count, Relay.Target target) throws Exception {
            try (Connection connection = connect()) {
                Channel channel = connection.createChannel();
                Handler handler = new Handler(channel, count, target);
                channel.basicQos(1);
                channel.basicConsume(queue, handler);
                Relay.ready();
                handler.done.get();
            }
        }
    }

    /** Sends each message on within its delivery, and acknowledges it. */
    private static final class Handler extends DefaultConsumer {
        final CompletableFuture<Void> done = new CompletableFuture<>();
        private final Relay.Target target;
        private int left;

        Handler(Channel channel, int count, Relay.Target target) {
            super(channel);
            this.left = count;
            this.target = target;
        }

        @Override
        public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body)
                throws IOException {
            if (left == 0) {
                return;
            }
            try {
                target.send(body);
            } catch (Exception error) {
                done.completeExceptionally(error);
                return;
            }
            getChannel().basicAck(envelope.getDeliveryTag(), false);
            if (--left == 0) {
                done.complete(null);
            }
        }
    }

    /** {@code QUEUE} of the default exchange, or {@code EXCHANGE/ROUTING_KEY}. */
    static final class Target implements Relay.Target {
        private final String exchange;
        private final String routingKey;
        private final Connection connection = connect();
        private final Channel channel = connection.createChannel();

        Target(String name) throws Exception {
            int slash = name.indexOf('/');
            exchange = slash < 0 ? "" : name.substring(0, slash);
            routingKey = name.substring(slash + 1);
            channel.confirmSelect();
        }

        @Override
        public void send(byte[] body) throws Exception {
            channel.basicPublish(exchange, routingKey, null, body);
            channel.waitForConfirmsOrDie();
        }

        @Override
        public void close() throws Exception {
            connection.close();
        }
    }
}
