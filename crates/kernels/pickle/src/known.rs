//! The allow-list of globals. Exact names; of scikit-learn, classes by rule.
//!
//! Collected from fitted estimators of scikit-learn 1.9.1, xgboost 3.2 and lightgbm 4.7, frames of pandas 3.1 and arrays of numpy 2.4
//! in protocols 2, 4 and 5, and from the names that older releases of them gave the same things.

/// Whether unpickling may import this without a person looking at it.
pub(crate) fn is_known(module: &str, name: &str) -> bool {
    is_listed(module, name) || is_estimator(module, name)
}

/// Known by the rule for estimators alone. Modules of scikit-learn hold classes of others under names of their own, `Thread` and
/// `Client` among them: such a name may be restored (`__new__` and a state), and not called with arguments.
pub(crate) fn is_by_rule(module: &str, name: &str) -> bool {
    is_estimator(module, name) && !is_listed(module, name)
}

fn is_listed(module: &str, name: &str) -> bool {
    EXACT.iter().any(|(known, names)| *known == module && names.contains(&name))
}

/// A class of scikit-learn: a capital first, no path through other modules, nothing from its tests, its data sets or what it ships of
/// others.
fn is_estimator(module: &str, name: &str) -> bool {
    const CLOSED: [&str; 12] = [
        "tests",
        "testing",
        "_testing",
        "externals",
        "datasets",
        "conftest",
        "_joblib",
        "_mocking",
        "parallel",
        "fixes",
        "_build_utils",
        "deprecation",
    ];
    let Some(rest) = module.strip_prefix("sklearn.") else { return false };
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain
        && name.as_bytes().first().is_some_and(u8::is_ascii_uppercase)
        && !rest.split('.').any(|part| CLOSED.contains(&part) || part.starts_with("test_"))
}

const BUILTINS: &[&str] = &[
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];
const ARRAYS: &[&str] = &["_reconstruct", "scalar"];
const NUMPY: &[&str] = &[
    "bool",
    "bool_",
    "bytes_",
    "complex128",
    "complex64",
    "datetime64",
    "dtype",
    "float16",
    "float32",
    "float64",
    "int16",
    "int32",
    "int64",
    "int8",
    "max",
    "mean",
    "median",
    "min",
    "ndarray",
    "object_",
    "str_",
    "sum",
    "timedelta64",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "void",
    "log1p",
    "expm1",
    "log",
    "exp",
    "sqrt",
    "square",
];
const SPARSE: &[&str] = &[
    "bsr_array",
    "bsr_matrix",
    "coo_array",
    "coo_matrix",
    "csc_array",
    "csc_matrix",
    "csr_array",
    "csr_matrix",
    "dia_array",
    "dia_matrix",
    "dok_array",
    "dok_matrix",
    "lil_array",
    "lil_matrix",
];
const SCORES: &[&str] =
    &["_PassthroughScorer", "_PredictScorer", "_ProbaScorer", "_ThresholdScorer", "_Scorer"];
const DISTANCES: &[&str] = &["newObj"];

#[rustfmt::skip]
const EXACT: &[(&str, &[&str])] = &[
    ("builtins", BUILTINS),
    ("__builtin__", BUILTINS),
    ("_codecs", &["encode"]),
    ("copyreg", &["_reconstructor"]),
    ("copy_reg", &["_reconstructor"]),
    ("collections", &["Counter", "OrderedDict", "defaultdict", "deque"]),
    ("datetime", &["date", "datetime", "time", "timedelta", "timezone"]),
    ("decimal", &["Decimal"]),
    ("fractions", &["Fraction"]),
    ("pathlib", &["PurePosixPath", "PureWindowsPath"]),
    ("uuid", &["UUID"]),
    ("joblib.numpy_pickle", &["NumpyArrayWrapper"]),
    ("sklearn.externals.joblib.numpy_pickle", &["NumpyArrayWrapper"]),
    ("numpy", NUMPY),
    ("numpy.core.multiarray", ARRAYS),
    ("numpy._core.multiarray", ARRAYS),
    ("numpy.core.numeric", &["_frombuffer"]),
    ("numpy._core.numeric", &["_frombuffer"]),
    ("numpy.dtypes", &["Float32DType", "Float64DType", "Int32DType", "Int64DType", "ObjectDType", "StrDType", "BoolDType"]),
    ("numpy.ma", &["MaskedArray"]),
    ("numpy.ma.core", &["MaskedArray", "_mareconstruct"]),
    ("numpy.random._mt19937", &["MT19937"]),
    ("numpy.random._pcg64", &["PCG64", "PCG64DXSM"]),
    ("numpy.random._philox", &["Philox"]),
    ("numpy.random._sfc64", &["SFC64"]),
    ("numpy.random._pickle", &["__bit_generator_ctor", "__generator_ctor", "__randomstate_ctor"]),
    ("numpy.random.bit_generator", &["SeedSequence", "__pyx_unpickle_SeedSequence"]),
    ("numpy.random", &["__RandomState_ctor"]),
    ("pandas", &["Categorical", "CategoricalDtype", "DataFrame", "DatetimeIndex", "Index", "MultiIndex", "RangeIndex", "Series", "StringDtype"]),
    ("pandas.arrays", &["DatetimeArray", "StringArray", "TimedeltaArray"]),
    ("pandas._libs.arrays", &["__pyx_unpickle_NDArrayBacked"]),
    ("pandas._libs.internals", &["_unpickle_block"]),
    ("pandas._libs.tslibs.timestamps", &["_unpickle_timestamp"]),
    ("pandas._libs.tslibs.timedeltas", &["_timedelta_unpickle"]),
    ("pandas.core.arrays.categorical", &["Categorical"]),
    ("pandas.core.arrays.datetimes", &["DatetimeArray"]),
    ("pandas.core.arrays.string_", &["StringArray"]),
    ("pandas.core.dtypes.dtypes", &["CategoricalDtype", "DatetimeTZDtype"]),
    ("pandas.core.frame", &["DataFrame"]),
    ("pandas.core.series", &["Series"]),
    ("pandas.core.indexes.base", &["Index", "_new_Index"]),
    ("pandas.core.indexes.datetimes", &["DatetimeIndex", "_new_DatetimeIndex"]),
    ("pandas.core.indexes.multi", &["MultiIndex"]),
    ("pandas.core.indexes.numeric", &["Float64Index", "Int64Index"]),
    ("pandas.core.indexes.range", &["RangeIndex"]),
    ("pandas.core.internals.managers", &["BlockManager", "SingleBlockManager"]),
    ("scipy._lib.array_api_compat.numpy._aliases", &["asarray"]),
    ("scipy.interpolate._bsplines", &["BSpline"]),
    ("scipy.interpolate._interpolate", &["interp1d"]),
    ("scipy.interpolate.interpolate", &["interp1d"]),
    ("scipy.sparse", SPARSE),
    ("scipy.sparse._bsr", SPARSE),
    ("scipy.sparse._coo", SPARSE),
    ("scipy.sparse._csc", SPARSE),
    ("scipy.sparse._csr", SPARSE),
    ("scipy.sparse._dia", SPARSE),
    ("scipy.sparse._dok", SPARSE),
    ("scipy.sparse._lil", SPARSE),
    ("scipy.sparse.csc", SPARSE),
    ("scipy.sparse.csr", SPARSE),
    ("sklearn.calibration", &["_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling"]),
    ("sklearn.cluster._birch", &["_CFNode", "_CFSubcluster"]),
    ("sklearn.cluster._bisect_k_means", &["_BisectingTree"]),
    ("sklearn.cluster._kmeans", &["_kmeans_single_elkan", "_kmeans_single_lloyd"]),
    ("sklearn.ensemble._hist_gradient_boosting.binning", &["_BinMapper"]),
    ("sklearn.feature_selection._univariate_selection", &["chi2", "f_classif", "f_oneway", "f_regression"]),
    ("sklearn.gaussian_process._gpc", &["_BinaryGaussianProcessClassifierLaplace"]),
    ("sklearn.metrics._dist_metrics", DISTANCES),
    ("sklearn.metrics._scorer", SCORES),
    ("sklearn.neighbors._ball_tree", DISTANCES),
    ("sklearn.neighbors._dist_metrics", DISTANCES),
    ("sklearn.neighbors._kd_tree", DISTANCES),
    ("sklearn._loss._loss", &[
        "CyAbsoluteError", "CyExponentialLoss", "CyHalfBinomialLoss", "CyHalfGammaLoss", "CyHalfMultinomialLoss",
        "CyHalfPoissonLoss", "CyHalfSquaredError", "CyHalfTweedieLoss", "CyHalfTweedieLossIdentity", "CyHuberLoss",
        "CyPinballLoss", "__pyx_unpickle_CyLossFunction",
    ]),
    ("sklearn.linear_model._sgd_fast", &[
        "EpsilonInsensitive", "Hinge", "Huber", "Log", "ModifiedHuber", "SquaredEpsilonInsensitive", "SquaredHinge",
        "SquaredLoss",
    ]),
    ("sklearn.tree._tree", &["Tree"]),
    ("xgboost.core", &["Booster"]),
    ("xgboost.sklearn", &["XGBClassifier", "XGBModel", "XGBRFClassifier", "XGBRFRegressor", "XGBRanker", "XGBRegressor"]),
    ("lightgbm.basic", &["Booster"]),
    ("lightgbm.sklearn", &["LGBMClassifier", "LGBMModel", "LGBMRanker", "LGBMRegressor"]),
    ("catboost.core", &["CatBoost", "CatBoostClassifier", "CatBoostRanker", "CatBoostRegressor"]),
    ("torch", &[
        "BFloat16Storage", "BoolStorage", "ByteStorage", "CharStorage", "DoubleStorage", "FloatStorage", "HalfStorage",
        "IntStorage", "LongStorage", "ShortStorage", "Size", "bfloat16", "bool", "device", "float16", "float32",
        "float64", "int16", "int32", "int64", "int8", "uint8",
    ]),
    ("torch._utils", &["_rebuild_parameter", "_rebuild_tensor", "_rebuild_tensor_v2"]),
    ("torch.nn.parameter", &["Parameter"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_list_and_classes_of_estimators_are_known() {
        for (module, name) in [
            ("sklearn.linear_model._ridge", "Ridge"),
            ("sklearn.tree._tree", "Tree"),
            ("numpy", "dtype"),
            ("builtins", "slice"),
        ] {
            assert!(is_known(module, name), "{module}.{name}");
        }
        for (module, name) in [
            ("os", "system"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("functools", "partial"),
            ("numpy", "load"),
            ("sklearn", "Ridge"),
            ("sklearn.base", "os.system"),
            ("sklearn.base", "Base.os"),
            ("sklearn.base", "clone"),
            ("sklearn.base", ""),
            ("sklearn.utils.tests.test_x", "Thing"),
            ("sklearn.externals.array", "Thing"),
            ("sklearn.datasets._base", "Path"),
            ("sklearnx.base", "Ridge"),
            ("scipy.stats._continuous_distns", "uniform_gen"),
        ] {
            assert!(!is_known(module, name), "{module}.{name}");
        }
    }
}
