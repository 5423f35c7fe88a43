import java.util.concurrent.TimeUnit;

/**
 * Reads COUNT messages from SOURCE and sends one to TARGET for each, in order: {@code Relay SOURCE TARGET COUNT}.
 *
 * <p>SOURCE is {@code kafka:TOPIC}, {@code rabbitmq:QUEUE}, {@code sqs:QUEUE_URL}, {@code sqs-batch:QUEUE_URL}, which
 * receives up to ten at a time, or {@code -}, which makes the messages "0" to "COUNT-1". TARGET is {@code kafka:TOPIC},
 * {@code rabbitmq:QUEUE}, {@code rabbitmq:EXCHANGE/ROUTING_KEY}, {@code sqs:QUEUE_URL}, {@code sns:TOPIC_ARN}, or
 * {@code -}, which drops them. What is read is handled within the client's own loop or callback, so that the tracer
 * sees one flow.
 */
public final class Relay {
    static final long PATIENCE_SECONDS = 60;

    /** Takes the body of one message. */
    interface Target extends AutoCloseable {
        void send(byte[] body) throws Exception;

        @Override
        default void close() throws Exception {}
    }

    /** Hands the bodies of {@code count} messages to a target, one after the other. */
    interface Source {
        void relay(int count, Target target) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        giveUpLater();
        try (Target target = target(arguments[1])) {
            source(arguments[0]).relay(Integer.parseInt(arguments[2]), target);
        }
    }

    /** Says that the consumer is in place. */
    static void ready() {
        System.out.println("ready");
    }

    private static Source source(String location) throws Exception {
        String name = name(location);
        return switch (kind(location)) {
            case "-" -> Relay::make;
            case "kafka" -> new KafkaEnd.Source(name);
            case "rabbitmq" -> new RabbitEnd.Source(name);
            case "sqs" -> new AwsEnd.Source(name, 1);
            case "sqs-batch" -> new AwsEnd.Source(name, 10);
            default -> throw new IllegalArgumentException(location);
        };
    }

    private static Target target(String location) throws Exception {
        String name = name(location);
        return switch (kind(location)) {
            case "-" -> body -> {};
            case "kafka" -> new KafkaEnd.Target(name);
            case "rabbitmq" -> new RabbitEnd.Target(name);
            case "sqs" -> AwsEnd.queue(name);
            case "sns" -> AwsEnd.topic(name);
            default -> throw new IllegalArgumentException(location);
        };
    }

    private static String kind(String location) {
        return location.split(":", 2)[0];
    }

    private static String name(String location) {
        return location.substring(location.indexOf(':') + 1);
    }

    private static void make(int count, Target target) throws Exception {
        ready();
        for (int number = 0; number < count; number++) {
            target.send(Integer.toString(number).getBytes());
        }
    }

    /** Ends this program with 1 when it has not ended by itself in time. */
    private static void giveUpLater() {
        Thread watch = new Thread(() -> {
            try {
                TimeUnit.SECONDS.sleep(PATIENCE_SECONDS);
            } catch (InterruptedException error) {
                return;
            }
            System.err.println("the relay gave up after " + PATIENCE_SECONDS + " s");
            Runtime.getRuntime().halt(1);
        });
        watch.setDaemon(true);
        watch.start();
    }
}
