//! What the stand-in predicts: class 0 for every row.

use seldon_proto::inference::model_infer_response::InferOutputTensor;
use seldon_proto::inference::{InferTensorContents, infer_parameter};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::inference::Inference;
use crate::model_settings::ModelSettings;
use crate::tensor;

const PREDICT: &str = "predict";
const PROBABILITIES: &str = "predict_proba";
/// Outputs that the runtime knows; a classifier has not all of them.
const KNOWN: [&str; 3] = [PREDICT, PROBABILITIES, "transform"];

/// An output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    name: String,
    data: Data,
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    Classes(Vec<i64>),
    Probabilities(Vec<f64>),
}

/// Answers `inference` in a model's stead.
///
/// # Errors
/// As the runtime refuses it.
pub(crate) fn predict(settings: &ModelSettings, inference: &Inference) -> Result<Vec<Output>, Failure> {
    let wanted = wanted(settings, inference)?;
    let [input] = inference.inputs.as_slice() else {
        return Err(Failure::Refused(format!(
            "There was an error encoding / decoding the payload: The 'np' codec only supports a single input tensor ({} \
             were received)",
            inference.inputs.len()
        )));
    };
    let rows = tensor::rows(input)?;
    wanted.into_iter().map(|name| output(name, rows)).collect()
}

/// The outputs that are asked for, or those of the settings.
fn wanted(settings: &ModelSettings, inference: &Inference) -> Result<Vec<String>, Failure> {
    if inference.outputs.is_empty() {
        let usual = settings.parameters.extra.get("predict_fn").and_then(Value::as_str).unwrap_or(PREDICT);
        return Ok(vec![usual.to_owned()]);
    }
    match inference.outputs.iter().find(|name| !KNOWN.contains(&name.as_str())) {
        None => Ok(inference.outputs.clone()),
        Some(name) => Err(Failure::Refused(format!(
            "SKLearnModel only supports 'predict', 'predict_proba' and 'transform' as outputs ({name} was received)"
        ))),
    }
}

fn output(name: String, rows: usize) -> Result<Output, Failure> {
    let data = match name.as_str() {
        PREDICT => Data::Classes(vec![0; rows]),
        PROBABILITIES => Data::Probabilities(vec![1.0; rows]),
        _ => {
            let text = format!("the stand-in's classifier has no attribute '{name}'");
            return Err(Failure::raised("AttributeError", text));
        }
    };
    Ok(Output { name, data })
}

impl Output {
    fn datatype(&self) -> &'static str {
        match self.data {
            Data::Classes(_) => "INT64",
            Data::Probabilities(_) => "FP64",
        }
    }

    fn rows(&self) -> usize {
        match &self.data {
            Data::Classes(classes) => classes.len(),
            Data::Probabilities(probabilities) => probabilities.len(),
        }
    }

    /// As HTTP has it.
    pub(crate) fn json(&self) -> Value {
        let data = match &self.data {
            Data::Classes(classes) => json!(classes),
            Data::Probabilities(probabilities) => json!(probabilities),
        };
        json!({
            "name": self.name, "shape": [self.rows(), 1], "datatype": self.datatype(),
            "parameters": {"content_type": "np"}, "data": data,
        })
    }

    /// As gRPC has it, with its numbers.
    pub(crate) fn message(&self) -> InferOutputTensor {
        let contents = match self.data.clone() {
            Data::Classes(int64_contents) => InferTensorContents { int64_contents, ..Default::default() },
            Data::Probabilities(fp64_contents) => InferTensorContents { fp64_contents, ..Default::default() },
        };
        InferOutputTensor { contents: Some(contents), ..self.message_without_contents() }
    }

    /// As gRPC has it beside [`Output::raw`].
    pub(crate) fn message_without_contents(&self) -> InferOutputTensor {
        let rows = i64::try_from(self.rows()).unwrap_or(i64::MAX);
        InferOutputTensor {
            name: self.name.clone(),
            datatype: self.datatype().to_owned(),
            shape: vec![rows, 1],
            parameters: [("content_type".to_owned(), word("np"))].into(),
            contents: Some(InferTensorContents::default()),
        }
    }

    /// Its numbers as bytes.
    pub(crate) fn raw(&self) -> Vec<u8> {
        match &self.data {
            Data::Classes(classes) => classes.iter().flat_map(|class| class.to_le_bytes()).collect(),
            Data::Probabilities(all) => all.iter().flat_map(|one| one.to_le_bytes()).collect(),
        }
    }
}

/// A parameter that is a word.
pub(crate) fn word(text: &str) -> seldon_proto::inference::InferParameter {
    let choice = infer_parameter::ParameterChoice::StringParam(text.to_owned());
    seldon_proto::inference::InferParameter { parameter_choice: Some(choice) }
}
