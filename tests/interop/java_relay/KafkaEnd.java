import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Topics of Kafka. The consumer's group is {@code relay-$DD_SERVICE}; it reads from the beginning and auto-commits. */
final class KafkaEnd {
    private static final String BOOTSTRAP = System.getenv("KAFKA_BOOTSTRAP_SERVERS");

    static final class Source implements Relay.Source {
        private final String topic;

        Source(String topic) {
            this.topic = topic;
        }

        @Override
        public void relay(int count, Relay.Target target) throws Exception {
            Map<String, Object> config = Map.of(
                    "bootstrap.servers", BOOTSTRAP,
                    "group.id", "relay-" + System.getenv("DD_SERVICE"),
                    "auto.offset.reset", "earliest");
            try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                consumer.subscribe(List.of(topic), new Announcer());
                for (int handled = 0; handled < count; ) {
                    for (ConsumerRecord<byte[], byte[]> read : consumer.poll(Duration.ofMillis(200))) {
                        target.send(read.value());
                        handled++;
                    }
                }
            }
        }
    }

    /** Says that the relay is ready as soon as it has partitions. */
    private static final class Announcer implements ConsumerRebalanceListener {
        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            Relay.ready();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {}
    }

    static final class Target implements Relay.Target {
        private final String topic;
        private final KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", BOOTSTRAP), new ByteArraySerializer(), new ByteArraySerializer());

        Target(String topic) {
            this.topic = topic;
            producer.partitionsFor(topic); // so that the tracer knows the cluster's id at the first message
        }

        @Override
        public void send(byte[] body) throws Exception {
            producer.send(new ProducerRecord<>(topic, body)).get();
        }

        @Override
        public void close() {
            producer.close();
        }
    }
}
