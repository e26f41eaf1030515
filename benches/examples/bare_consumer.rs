//! What a consumer can do that does nothing: reads messages and drops them. `benches/kafka.py` puts a worker beside it.
//!
//!     bare_consumer BROKERS TOPIC GROUP MESSAGES
//!
//! Prints a JSON line: messages, their bytes, and the seconds from when it has partitions to the last message.

#![allow(clippy::print_stdout, reason = "a program, not a library")]

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::error::Error;
use std::time::{Duration, Instant};

/// Longest wait for a message, the joining of the group included.
const PATIENCE: Duration = Duration::from_mins(1);
/// Longest wait of one poll, which also returns when the group has something to say.
const POLL: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic, group, messages] = arguments.as_slice() else {
        return Err("bare_consumer BROKERS TOPIC GROUP MESSAGES".into());
    };
    let wanted: u64 = messages.parse()?;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic.as_str()])?;
    let (mut taken, mut bytes) = (0_u64, 0_u64);
    let mut last = Instant::now();
    let mut begun = None;
    while taken < wanted {
        let Some(message) = consumer.poll(POLL) else {
            if begun.is_none() && consumer.assignment()?.count() > 0 {
                begun = Some(Instant::now());
            }
            if last.elapsed() > PATIENCE {
                return Err("no more messages come".into());
            }
            continue;
        };
        last = Instant::now();
        begun.get_or_insert(last);
        taken += 1;
        bytes += message?.payload_len() as u64;
    }
    let seconds = begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
    println!("{{\"messages\": {taken}, \"bytes\": {bytes}, \"seconds\": {seconds:.6}}}");
    Ok(())
}
