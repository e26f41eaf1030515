//! A pipeline file is one of several kinds; which one stands in `source.kind`.

use crate::config::{ConfigError, Pipeline, SourceKind, read, source_kind};
use crate::kafka::KafkaPipeline;
use std::path::Path;

/// What a pipeline file asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineFile {
    /// Files and folders, until they are done.
    Files(Box<Pipeline>),
    /// Kafka topics, until stopped.
    Kafka(Box<KafkaPipeline>),
}

impl PipelineFile {
    /// Reads the pipeline file at `path`. Paths in it are relative to its folder.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        match source_kind(path, &text)? {
            SourceKind::Files => Ok(Self::Files(Box::new(Pipeline::from_file(path)?))),
            SourceKind::KafkaRecordings | SourceKind::KafkaLive => {
                Ok(Self::Kafka(Box::new(KafkaPipeline::from_file(path)?)))
            }
        }
    }
}
