// `relay.js SOURCE TARGET COUNT`: reads messages and sends each on, watched by dd-trace. See ../relay.py.
"use strict";

require("dd-trace").init(); // before the clients, which it patches while they are loaded

const { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } = require("@aws-sdk/client-sqs");
const amqplib = require("amqplib");
const { Kafka, logLevel } = require("kafkajs");

const GIVE_UP_MS = 60_000;
const { AMQP_URL = "", DD_SERVICE, KAFKA_BOOTSTRAP_SERVERS = "" } = process.env;

const kafka = () => new Kafka({ brokers: KAFKA_BOOTSTRAP_SERVERS.split(","), logLevel: logLevel.ERROR });

/** Each opens a place to send to: `send(body)` returns when the broker has the message. */
const targets = {
  async kafka(topic) {
    const producer = kafka().producer();
    await producer.connect();
    return {
      send: (body) => producer.send({ topic, messages: [{ value: body }] }),
      close: () => producer.disconnect(),
    };
  },

  async rabbitmq(queue) {
    const connection = await amqplib.connect(AMQP_URL);
    const channel = await connection.createConfirmChannel();
    return {
      async send(body) {
        channel.sendToQueue(queue, Buffer.from(body));
        await channel.waitForConfirms();
      },
      close: () => connection.close(),
    };
  },

  async sqs(url) {
    const client = new SQSClient();
    return {
      send: (body) => client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body })),
      close: async () => client.destroy(),
    };
  },

  async "-"() {
    return { send: async () => {}, close: async () => {} };
  },
};

/** Each awaits `handle(body)` for each of `count` messages, one at a time. */
const sources = {
  async kafka(topic, count, handle) {
    const consumer = kafka().consumer({ groupId: `relay-${DD_SERVICE}` });
    consumer.on(consumer.events.GROUP_JOIN, () => console.log("ready"));
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise((resolve, reject) => {
      const eachMessage = async ({ message }) => {
        await handle(message.value.toString()).catch(reject);
        if (--count === 0) resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
    await consumer.disconnect(); // commits first
  },

  async rabbitmq(queue, count, handle) {
    const connection = await amqplib.connect(AMQP_URL);
    const channel = await connection.createChannel();
    await channel.prefetch(1);
    await new Promise((resolve, reject) => {
      const onMessage = async (message) => {
        await handle(message.content.toString()).catch(reject);
        channel.ack(message);
        if (--count === 0) resolve();
      };
      channel.consume(queue, onMessage).then(() => console.log("ready"), reject);
    });
    await connection.close();
  },

  async sqs(url, count, handle) {
    const client = new SQSClient();
    const request = { QueueUrl: url, MaxNumberOfMessages: 1, WaitTimeSeconds: 1 };
    console.log("ready");
    while (count > 0) {
      const { Messages = [] } = await client.send(new ReceiveMessageCommand(request));
      for (const { Body, ReceiptHandle } of Messages) {
        await handle(Body);
        await client.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle }));
        count--;
      }
    }
    client.destroy();
  },

  async "-"(_, count, handle) {
    console.log("ready");
    for (let number = 0; number < count; number++) await handle(String(number));
  },
};

function split(place) {
  const [kind, ...name] = place.split(":");
  return [kind, name.join(":")];
}

async function main(source, target, count) {
  const [reads, from] = split(source);
  const [writes, to] = split(target);
  const { send, close } = await targets[writes](to);
  await sources[reads](from, Number(count), send);
  await close();
}

function fail(error) {
  console.error(error);
  process.exit(1);
}

const timer = setTimeout(() => fail("gave up: not all messages came"), GIVE_UP_MS);
// dd-trace reports when the program has nothing left to do; after that comes `exit`.
process.on("exit", (code) => code === 0 && console.log("done"));
main(...process.argv.slice(2)).then(() => clearTimeout(timer), fail);
