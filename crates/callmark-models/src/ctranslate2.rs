//! Reads CTranslate2's `model.bin`: a table of named variables, of which only the index is kept in memory.
//!
//! Layout (little endian): u32 version; string spec; u32 revision; u32 count; for each variable a string name, u8 rank,
//! u32 dimensions, u8 element type, u32 byte length and data; then u32 count of aliases as pairs of strings.
//! A string is a u16 length that counts a closing NUL, then the bytes. Source: `ModelLoader` in CTranslate2.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::f16;

use crate::error::ModelError;

/// The container version that is read.
const CONTAINER_VERSION: u32 = 6;
/// More variables than any Whisper has.
const VARIABLES_MAX: u32 = 1 << 16;
const RANK_MAX: u8 = 8;
/// Values converted at once.
const CHUNK_VALUES: u64 = 1 << 16;

/// How a variable's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    I8,
    I16,
    I32,
    F16,
}

/// One variable: its shape (slowest dimension first) and where its values lie.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    pub(crate) dims: Vec<u32>,
    pub(crate) element: Element,
    offset: u64,
}

/// An open `model.bin`.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf,
    spec: String,
    variables: HashMap<String, Variable>,
}

impl Element {
    fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Element::F32,
            1 => Element::I8,
            2 => Element::I16,
            3 => Element::I32,
            4 => Element::F16,
            _ => return None,
        })
    }

    fn bytes(self) -> u64 {
        match self {
            Element::I8 => 1,
            Element::I16 | Element::F16 => 2,
            Element::F32 | Element::I32 => 4,
        }
    }
}

impl Variable {
    /// Number of values; 1 for a scalar.
    pub(crate) fn elements(&self) -> u64 {
        self.dims.iter().map(|dim| u64::from(*dim)).product()
    }
}

impl Weights {
    /// Reads the index of the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(ModelError::io("read", path))?;
        let file_bytes = file.metadata().map_err(ModelError::io("read", path))?.len();
        let mut index = IndexReader { path, input: BufReader::new(file), file_bytes };
        index.read()
    }

    /// The architecture that the file says it holds.
    pub(crate) fn spec(&self) -> &str {
        &self.spec
    }

    /// An error about this file.
    pub(crate) fn error(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Conversion { path: self.path.clone(), reason: reason.into() }
    }

    /// The variable of that name or alias.
    pub(crate) fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// The variable of that name or alias, or an error that names it.
    pub(crate) fn require(&self, name: &str) -> Result<&Variable, ModelError> {
        self.get(name).ok_or_else(|| self.error(format!("it has no variable `{name}`")))
    }

    /// A whole-number scalar, if the variable is there.
    pub(crate) fn scalar(&self, name: &str) -> Result<Option<i32>, ModelError> {
        let Some(variable) = self.get(name).filter(|variable| variable.elements() == 1) else {
            return Ok(None);
        };
        let mut bytes = [0u8; 4];
        let width = variable.element.bytes() as usize;
        let mut file = self.seek(variable.offset)?;
        file.read_exact(&mut bytes[..width]).map_err(ModelError::io("read", &self.path))?;
        Ok(match variable.element {
            Element::I8 => Some(i32::from(bytes[0] as i8)),
            Element::I16 => Some(i32::from(i16::from_le_bytes([bytes[0], bytes[1]]))),
            Element::I32 => Some(i32::from_le_bytes(bytes)),
            Element::F16 | Element::F32 => None,
        })
    }

    /// Hands the values `first .. first + count` of a variable to `each`, some at a time and in order.
    pub(crate) fn for_each_chunk(
        &self,
        name: &str,
        first: u64,
        count: u64,
        each: &mut dyn FnMut(&[f32]) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let variable = self.require(name)?;
        if !matches!(variable.element, Element::F32 | Element::F16) {
            return Err(self.error(format!("`{name}` is quantised, which loses what a float16 file needs")));
        }
        if first.checked_add(count).is_none_or(|end| end > variable.elements()) {
            return Err(self.error(format!("`{name}` has only {} values", variable.elements())));
        }
        let width = variable.element.bytes();
        let mut file = self.seek(variable.offset + first * width)?;
        let mut values = Vec::with_capacity(CHUNK_VALUES.min(count) as usize);
        let mut remaining = count;
        while remaining > 0 {
            let now = remaining.min(CHUNK_VALUES);
            let mut bytes = vec![0u8; (now * width) as usize];
            file.read_exact(&mut bytes).map_err(ModelError::io("read", &self.path))?;
            values.clear();
            if variable.element == Element::F16 {
                values.extend(bytes.as_chunks::<2>().0.iter().map(|pair| f16::from_le_bytes(*pair).to_f32()));
            } else {
                values.extend(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)));
            }
            each(&values)?;
            remaining -= now;
        }
        Ok(())
    }

    fn seek(&self, offset: u64) -> Result<File, ModelError> {
        let mut file = File::open(&self.path).map_err(ModelError::io("read", &self.path))?;
        file.seek(SeekFrom::Start(offset)).map_err(ModelError::io("read", &self.path))?;
        Ok(file)
    }
}

/// Walks the file once. Every length is checked against what is left of the file before it is believed.
struct IndexReader<'p> {
    path: &'p Path,
    input: BufReader<File>,
    file_bytes: u64,
}

impl IndexReader<'_> {
    fn read(&mut self) -> Result<Weights, ModelError> {
        let version = self.u32()?;
        if version != CONTAINER_VERSION {
            return Err(self.error(format!(
                "it is not CTranslate2's container version {CONTAINER_VERSION} (its first number is {version})"
            )));
        }
        let spec = self.string()?;
        let _revision = self.u32()?;
        let count = self.u32()?;
        if count > VARIABLES_MAX {
            return Err(self.error(format!("it claims {count} variables")));
        }
        let mut variables = HashMap::with_capacity(count as usize);
        for _ in 0..count {
            let (name, variable) = self.variable()?;
            variables.insert(name, variable);
        }
        let aliases = self.u32()?;
        if aliases > VARIABLES_MAX {
            return Err(self.error(format!("it claims {aliases} aliases")));
        }
        for _ in 0..aliases {
            let alias = self.string()?;
            let name = self.string()?;
            let Some(variable) = variables.get(&name).cloned() else {
                return Err(self.error(format!("`{alias}` stands for `{name}`, which is not there")));
            };
            variables.insert(alias, variable);
        }
        Ok(Weights { path: self.path.to_path_buf(), spec, variables })
    }

    fn variable(&mut self) -> Result<(String, Variable), ModelError> {
        let name = self.string()?;
        let rank = self.bytes::<1>()?[0];
        if rank > RANK_MAX {
            return Err(self.error(format!("`{name}` claims {rank} dimensions")));
        }
        let mut dims = Vec::with_capacity(usize::from(rank));
        for _ in 0..rank {
            dims.push(self.u32()?);
        }
        let element_id = self.bytes::<1>()?[0];
        let element = Element::from_id(element_id)
            .ok_or_else(|| self.error(format!("`{name}` has the unknown element type {element_id}")))?;
        let data_bytes = u64::from(self.u32()?);
        let offset = self.position()?;
        let shape_bytes =
            dims.iter().try_fold(element.bytes(), |product, dim| product.checked_mul(u64::from(*dim)));
        if shape_bytes != Some(data_bytes) {
            return Err(
                self.error(format!("`{name}` has {data_bytes} bytes, which is not what its shape takes"))
            );
        }
        if offset + data_bytes > self.file_bytes {
            return Err(self.error(format!("it ends too early, within `{name}`")));
        }
        self.input.seek_relative(data_bytes as i64).map_err(ModelError::io("read", self.path))?;
        Ok((name, Variable { dims, element, offset }))
    }

    fn string(&mut self) -> Result<String, ModelError> {
        let length = usize::from(u16::from_le_bytes(self.bytes::<2>()?));
        let mut bytes = vec![0u8; length];
        self.fill(&mut bytes)?;
        if bytes.pop() != Some(0) {
            return Err(self.error("a name does not end as CTranslate2's names do"));
        }
        String::from_utf8(bytes).map_err(|_| self.error("a name is not text"))
    }

    fn u32(&mut self) -> Result<u32, ModelError> {
        self.bytes::<4>().map(u32::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let mut bytes = [0u8; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ModelError> {
        self.input.read_exact(bytes).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                self.error("it ends too early")
            } else {
                ModelError::io("read", self.path)(error)
            }
        })
    }

    fn position(&mut self) -> Result<u64, ModelError> {
        self.input.stream_position().map_err(ModelError::io("read", self.path))
    }

    fn error(&self, reason: impl Into<String>) -> ModelError {
        ModelError::Conversion { path: self.path.to_path_buf(), reason: reason.into() }
    }
}
