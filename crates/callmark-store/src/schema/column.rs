//! One definition a column: its name, type, description, encoding and how its values come out of a row.
//!
//! The schema, the documentation and the writer all read the same definitions, so they cannot differ.

use arrow::array::{
    ArrayRef, BooleanArray, Float32Builder, Float64Array, Int32Array, Int64Array, Int64Builder, ListArray,
    StringArray, StringBuilder, StructArray, TimestampMillisecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use callmark_types::{HandlerSegment, Millis, Timestamp, Word};
use std::collections::HashMap;
use std::sync::Arc;

/// Key of a field's metadata that holds its description.
pub(crate) const DESCRIPTION_KEY: &str = "description";
/// Name of a list's element, as the Parquet specification has it.
const ELEMENT: &str = "element";

/// Makes an array out of rows.
type BuildArray<R> = Box<dyn Fn(&[R]) -> ArrayRef>;

/// One column of a table whose rows are `R`.
pub(crate) struct Column<R> {
    /// Name, type, nullability, description.
    pub(crate) field: Field,
    /// Paths of the leaves that are dictionary-encoded.
    pub(crate) dictionary_paths: Vec<Vec<&'static str>>,
    build: BuildArray<R>,
    leaf_suffix: Vec<&'static str>,
    name: &'static str,
}

impl<R> Column<R> {
    fn new(
        name: &'static str,
        data_type: DataType,
        description: impl Into<String>,
        build: impl Fn(&[R]) -> ArrayRef + 'static,
    ) -> Self {
        Self {
            field: describe(Field::new(name, data_type, true), description),
            dictionary_paths: Vec::new(),
            build: Box::new(build),
            leaf_suffix: Vec::new(),
            name,
        }
    }

    /// The values of `rows`.
    pub(crate) fn array(&self, rows: &[R]) -> ArrayRef {
        (self.build)(rows)
    }

    /// Never null.
    pub(crate) fn required(mut self) -> Self {
        self.field = self.field.with_nullable(false);
        self
    }

    /// Few distinct values: dictionary-encoded.
    pub(crate) fn few_values(mut self) -> Self {
        let path = std::iter::once(self.name).chain(self.leaf_suffix.iter().copied()).collect();
        self.dictionary_paths.push(path);
        self
    }

    /// Text.
    pub(crate) fn text(
        name: &'static str,
        description: impl Into<String>,
        get: impl for<'r> Fn(&'r R) -> Option<&'r str> + 'static,
    ) -> Self {
        Self::new(name, DataType::Utf8, description, move |rows| {
            Arc::new(rows.iter().map(&get).collect::<StringArray>())
        })
    }

    /// A duration or offset in milliseconds.
    pub(crate) fn millis(
        name: &'static str,
        description: impl Into<String>,
        get: impl Fn(&R) -> Option<Millis> + 'static,
    ) -> Self {
        Self::int64(name, description, move |row| get(row).map(|millis| millis.0))
    }

    /// A whole number of 64 bits.
    pub(crate) fn int64(
        name: &'static str,
        description: impl Into<String>,
        get: impl Fn(&R) -> Option<i64> + 'static,
    ) -> Self {
        Self::new(name, DataType::Int64, description, move |rows| {
            Arc::new(rows.iter().map(&get).collect::<Int64Array>())
        })
    }

    /// A whole number of 32 bits.
    pub(crate) fn int32(
        name: &'static str,
        description: impl Into<String>,
        get: impl Fn(&R) -> Option<i32> + 'static,
    ) -> Self {
        Self::new(name, DataType::Int32, description, move |rows| {
            Arc::new(rows.iter().map(&get).collect::<Int32Array>())
        })
    }

    /// A real number.
    pub(crate) fn float64(
        name: &'static str,
        description: impl Into<String>,
        get: impl Fn(&R) -> Option<f64> + 'static,
    ) -> Self {
        Self::new(name, DataType::Float64, description, move |rows| {
            Arc::new(rows.iter().map(&get).collect::<Float64Array>())
        })
    }

    /// Yes or no.
    pub(crate) fn boolean(
        name: &'static str,
        description: impl Into<String>,
        get: impl Fn(&R) -> Option<bool> + 'static,
    ) -> Self {
        Self::new(name, DataType::Boolean, description, move |rows| {
            Arc::new(rows.iter().map(&get).collect::<BooleanArray>())
        })
    }

    /// An instant in UTC with millisecond resolution.
    pub(crate) fn timestamp(
        name: &'static str,
        description: impl Into<String>,
        get: impl Fn(&R) -> Option<Timestamp> + 'static,
    ) -> Self {
        let data_type = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        Self::new(name, data_type, description, move |rows| {
            let millis = rows.iter().map(|row| get(row).map(Timestamp::epoch_millis));
            Arc::new(millis.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        })
    }

    /// A list of texts; empty rather than null.
    pub(crate) fn text_list(
        name: &'static str,
        description: impl Into<String>,
        get: impl for<'r> Fn(&'r R) -> &'r [String] + 'static,
    ) -> Self {
        let element = Arc::new(Field::new(ELEMENT, DataType::Utf8, false));
        let mut column = Self::new(name, DataType::List(element.clone()), description, move |rows| {
            let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| get(row).len()));
            let values: StringArray = rows.iter().flat_map(&get).map(|text| Some(text.as_str())).collect();
            Arc::new(ListArray::new(element.clone(), offsets, Arc::new(values), None))
        });
        column.leaf_suffix = vec!["list", ELEMENT];
        column.required()
    }

    /// A list of words with their times; empty rather than null.
    pub(crate) fn words(
        name: &'static str,
        description: impl Into<String>,
        get: impl for<'r> Fn(&'r R) -> &'r [Word] + 'static,
    ) -> Self {
        let fields = word_fields();
        let element = Arc::new(Field::new(ELEMENT, DataType::Struct(fields.clone()), false));
        Self::new(name, DataType::List(element.clone()), description, move |rows| {
            let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| get(row).len()));
            let values = word_array(&fields, rows.iter().flat_map(&get));
            Arc::new(ListArray::new(element.clone(), offsets, Arc::new(values), None))
        })
        .required()
    }

    /// A list of handlers' parts of a call; empty rather than null.
    pub(crate) fn handler_segments(
        name: &'static str,
        description: impl Into<String>,
        get: impl for<'r> Fn(&'r R) -> &'r [HandlerSegment] + 'static,
    ) -> Self {
        let fields = segment_fields();
        let element = Arc::new(Field::new(ELEMENT, DataType::Struct(fields.clone()), false));
        let mut column = Self::new(name, DataType::List(element.clone()), description, move |rows| {
            let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| get(row).len()));
            let values = segment_array(&fields, rows.iter().flat_map(&get));
            Arc::new(ListArray::new(element.clone(), offsets, Arc::new(values), None))
        });
        column.dictionary_paths =
            ["handler", "agent_id"].map(|leaf| vec![name, "list", ELEMENT, leaf]).to_vec();
        column.required()
    }
}

fn describe(field: Field, description: impl Into<String>) -> Field {
    field.with_metadata(HashMap::from([(DESCRIPTION_KEY.to_owned(), description.into())]))
}

fn word_fields() -> Fields {
    Fields::from(vec![
        describe(Field::new("word", DataType::Utf8, false), "The word as written, with its punctuation."),
        describe(
            Field::new("start_ms", DataType::Int64, false),
            "Start from the start of the recording, ms.",
        ),
        describe(Field::new("end_ms", DataType::Int64, false), "End from the start of the recording, ms."),
        describe(
            Field::new("probability", DataType::Float32, false),
            "Probability the recogniser gave it, 0 to 1.",
        ),
    ])
}

fn word_array<'a>(fields: &Fields, words: impl Iterator<Item = &'a Word>) -> StructArray {
    let mut texts = StringBuilder::new();
    let mut starts = Int64Builder::new();
    let mut ends = Int64Builder::new();
    let mut probabilities = Float32Builder::new();
    for word in words {
        texts.append_value(&word.word);
        starts.append_value(word.span.start.0);
        ends.append_value(word.span.end.0);
        probabilities.append_value(word.probability);
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(texts.finish()),
        Arc::new(starts.finish()),
        Arc::new(ends.finish()),
        Arc::new(probabilities.finish()),
    ];
    StructArray::new(fields.clone(), arrays, None)
}

fn segment_fields() -> Fields {
    Fields::from(vec![
        describe(Field::new("handler", DataType::Utf8, false), "ai, human, ivr, hold or queue."),
        describe(
            Field::new("start_ms", DataType::Int64, false),
            "Start from the start of the recording, ms.",
        ),
        describe(Field::new("end_ms", DataType::Int64, false), "End from the start of the recording, ms."),
        describe(Field::new("agent_id", DataType::Utf8, true), "The agent's id, where known."),
    ])
}

fn segment_array<'a>(fields: &Fields, segments: impl Iterator<Item = &'a HandlerSegment>) -> StructArray {
    let mut handlers = StringBuilder::new();
    let mut starts = Int64Builder::new();
    let mut ends = Int64Builder::new();
    let mut agents = StringBuilder::new();
    for segment in segments {
        handlers.append_value(segment.handler.as_str());
        starts.append_value(segment.span.start.0);
        ends.append_value(segment.span.end.0);
        agents.append_option(segment.agent_id.as_deref());
    }
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(handlers.finish()),
        Arc::new(starts.finish()),
        Arc::new(ends.finish()),
        Arc::new(agents.finish()),
    ];
    StructArray::new(fields.clone(), arrays, None)
}
