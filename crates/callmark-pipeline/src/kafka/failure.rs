//! Why a stream did not start, or stopped, in words for the operator.

use crate::config::ConfigError;
use crate::run::RunError;
use callmark_store::StoreError;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a stream did not start, or stopped. Nothing is lost: what is not in the dataset is still in the topic.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// Settings are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The recogniser did not start.
    #[error(transparent)]
    Recogniser(#[from] RunError),
    /// The dataset could not be written for longer than allowed.
    #[error("{source}; tried for {seconds} s, nothing is lost: mend that and start again")]
    Store {
        /// What the store said last.
        source: Box<StoreError>,
        /// How long.
        seconds: u64,
    },
    /// The broker said no, or nothing for longer than allowed.
    #[error("{0}")]
    Broker(String),
    /// The topic holds other messages than those that the dataset was made of.
    #[error(
        "partition {partition} of {topic} has a message at offset {found}, but the dataset covers everything before {expected}: was the topic deleted and made again? Write to another folder, or give `source.name` another value"
    )]
    TopicChanged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset that came.
        found: i64,
        /// First offset that is not in the dataset.
        expected: i64,
    },
    /// A thread could not be started, or died.
    #[error("cannot run {what}: {reason}")]
    Thread {
        /// Which.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The address for metrics and health is taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

impl PartialEq for StreamError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// A client that cannot be made. librdkafka quotes the value that it refuses, which may be a secret: only the name of
/// the property is passed on.
pub(crate) fn client_refused(error: &KafkaError) -> StreamError {
    match error {
        KafkaError::ClientConfig(_, description, name, _) => {
            let reason = if description.starts_with("No such configuration property") {
                "librdkafka has no such property"
            } else {
                "librdkafka does not take this value"
            };
            StreamError::Config(crate::config::invalid(format!("source.properties.{name}"), reason))
        }
        KafkaError::ClientCreation(reason) => {
            StreamError::Config(crate::config::invalid("source.properties", reason.clone()))
        }
        other => StreamError::Broker(other.to_string()),
    }
}

/// What to do about an error that does not mend itself; `None` for one that may.
pub(crate) fn lasting(code: RDKafkaErrorCode) -> Option<&'static str> {
    Some(match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => {
            "the user may not do that on this topic: grant Read and Describe on topics that are read, Write and Describe on those that are written"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => "the user may not use this group: grant Read on it",
        RDKafkaErrorCode::ClusterAuthorizationFailed => {
            "the user may not write: grant Write and Describe on the topics that are written"
        }
        RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
            "the user may not send alerts in transactions: grant Write and Describe on transactional ids that begin with `callmark-`"
        }
        RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::Authentication => {
            "the broker refuses the login: check sasl.mechanism, sasl.username and sasl.password"
        }
        RDKafkaErrorCode::UnsupportedSASLMechanism => "the broker does not know this sasl.mechanism",
        RDKafkaErrorCode::Fatal => "the client cannot go on",
        RDKafkaErrorCode::FencedInstanceId => {
            "another worker has the same `instance_id`: give each worker its own"
        }
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "other members of the group use another assignment strategy: use one `partition.assignment.strategy`, or another group"
        }
        _ => return None,
    })
}

/// An error of a Kafka client and what to do about it.
pub(crate) fn explained(what: &str, code: RDKafkaErrorCode) -> String {
    match lasting(code) {
        Some(hint) => format!("{what}: {code}: {hint}"),
        None => format!("{what}: {code}"),
    }
}
