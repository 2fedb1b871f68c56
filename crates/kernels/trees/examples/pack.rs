//! Writes a model file of any format as `lwtrees`: `pack MODEL PACKED`, for `benches/trees`.

use std::error::Error;

use kernel_trees::Ensemble;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, packed] = arguments.as_slice() else { return Err("MODEL PACKED".into()) };
    let (model, _) = Ensemble::from_bytes(&fs_err::read(model)?)?;
    fs_err::write(packed, model.to_packed())?;
    Ok(())
}
