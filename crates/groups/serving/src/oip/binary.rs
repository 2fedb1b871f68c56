//! Raw little-endian tensors of the binary extension.

/// Whether the datatype is one of numbers.
pub(super) fn is_number(datatype: &str) -> bool {
    size(datatype).is_some()
}

fn size(datatype: &str) -> Option<usize> {
    match datatype {
        "BOOL" | "INT8" | "UINT8" => Some(1),
        "INT16" | "UINT16" => Some(2),
        "INT32" | "UINT32" | "FP32" => Some(4),
        "INT64" | "UINT64" | "FP64" => Some(8),
        _ => None,
    }
}

/// The tensor's values as 64-bit reals; `Err` holds the broken rule.
pub(super) fn decode(datatype: &str, bytes: &[u8]) -> Result<Vec<f64>, String> {
    let size = size(datatype).ok_or_else(|| format!("has datatype {datatype:?}, expected a number type"))?;
    if !bytes.len().is_multiple_of(size) {
        return Err(format!("has {} bytes, which are no whole number of {datatype} values", bytes.len()));
    }
    let chunks = bytes.chunks_exact(size);
    Ok(match datatype {
        "BOOL" => bytes.iter().map(|byte| f64::from(u8::from(*byte != 0))).collect(),
        "UINT8" => bytes.iter().map(|byte| f64::from(*byte)).collect(),
        "INT8" => bytes.iter().map(|byte| f64::from(*byte as i8)).collect(),
        "INT16" => chunks.map(|chunk| f64::from(i16::from_le_bytes(fixed(chunk)))).collect(),
        "UINT16" => chunks.map(|chunk| f64::from(u16::from_le_bytes(fixed(chunk)))).collect(),
        "INT32" => chunks.map(|chunk| f64::from(i32::from_le_bytes(fixed(chunk)))).collect(),
        "UINT32" => chunks.map(|chunk| f64::from(u32::from_le_bytes(fixed(chunk)))).collect(),
        "FP32" => chunks.map(|chunk| f64::from(f32::from_le_bytes(fixed(chunk)))).collect(),
        "INT64" => chunks.map(|chunk| i64::from_le_bytes(fixed(chunk)) as f64).collect(),
        "UINT64" => chunks.map(|chunk| u64::from_le_bytes(fixed(chunk)) as f64).collect(),
        _ => chunks.map(|chunk| f64::from_le_bytes(fixed(chunk))).collect(),
    })
}

fn fixed<const N: usize>(chunk: &[u8]) -> [u8; N] {
    chunk.try_into().expect("chunks_exact gives chunks of this size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_every_type_are_read() {
        let table: [(&str, Vec<u8>, Vec<f64>); 6] = [
            ("BOOL", vec![0, 1, 2], vec![0.0, 1.0, 1.0]),
            ("INT8", vec![255, 1], vec![-1.0, 1.0]),
            ("INT32", (-7i32).to_le_bytes().to_vec(), vec![-7.0]),
            ("UINT16", 65_535u16.to_le_bytes().to_vec(), vec![65_535.0]),
            ("FP32", 1.5f32.to_le_bytes().to_vec(), vec![1.5]),
            ("INT64", [3i64.to_le_bytes(), (-3i64).to_le_bytes()].concat(), vec![3.0, -3.0]),
        ];
        for (datatype, bytes, values) in table {
            assert_eq!(decode(datatype, &bytes).unwrap(), values, "{datatype}");
        }
        assert!(decode("BYTES", &[0; 8]).unwrap_err().contains("BYTES"));
        assert!(decode("FP64", &[0; 9]).unwrap_err().contains("9 bytes"));
    }
}
