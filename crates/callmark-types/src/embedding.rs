//! Sentences as vectors: what scoring asks of a sentence model, whoever runs it.

/// A sentence as a vector of length 1; the product of two is the cosine of their angle.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embedding(pub Vec<f32>);

impl Embedding {
    /// Nearness of meaning, -1 to 1: the cosine of the angle between two vectors of length 1.
    pub fn nearness(&self, other: &Self) -> f64 {
        self.0.iter().zip(&other.0).map(|(a, b)| f64::from(a * b)).sum()
    }
}

/// Turns sentences into vectors, the same sentence always into the same vector.
pub trait SentenceEncoder: std::fmt::Debug + Send + Sync {
    /// One vector a sentence, in order; all of one length.
    fn encode(&self, sentences: &[&str]) -> Vec<Embedding>;

    /// SHA-256 of the weights, hex: part of a score's lineage.
    fn sha256(&self) -> &str;
}
