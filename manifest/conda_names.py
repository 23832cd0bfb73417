"""Which conda packages pip can install, under which name, and which need no installing.

Lists, not a rule: a conda package and one on the package index that share a name need not be the same software.
"""

from __future__ import annotations

# The same software under the same name (spelt as the package index compares names).
SAME = frozenset(
    """
    absl-py accelerate aiohttp albumentations altair anyio argon2-cffi attrs azure-core azure-identity
    azure-keyvault-secrets azure-storage-blob azureml-ai-monitoring azureml-core azureml-defaults
    azureml-inference-server-http babel bcrypt beautifulsoup4 blinker bokeh boto3 botocore bottleneck brotli
    cachetools catboost category-encoders certifi cffi chardet charset-normalizer click cloudpickle colorama
    contourpy coverage cryptography cvxpy cycler cython dask dask-ml datasets dateparser decorator dill diskcache
    distributed dnspython docutils einops et-xmlfile evaluate faiss-cpu fastapi fastparquet feather-format
    feature-engine filelock flask flask-cors fonttools frozenlist fsspec gensim geopandas geopy gevent gitpython
    gradio greenlet grpcio gunicorn h5py holidays httptools httpx huggingface-hub hyperopt idna imageio
    imbalanced-learn implicit importlib-metadata inference-schema inflection ipython itsdangerous jax jieba jinja2
    jmespath joblib json5 jsonschema keras kiwisolver langdetect librosa lightgbm lightning lime llvmlite locket
    loguru lxml markdown markupsafe matplotlib mlflow mlxtend more-itertools mpmath msgpack multidict multiprocess
    mypy narwhals natsort networkx nltk numba numexpr numpy oauthlib onnx onnxmltools onnxruntime openpyxl optuna
    orjson packaging pandas paramiko partd patsy peft pillow platformdirs plotly pmdarima polars pooch prettytable
    prometheus-client prompt-toolkit prophet protobuf psutil pyarrow pyasn1 pycparser pydantic pydantic-core
    pygments pyjwt pymongo pymysql pynndescent pyod pyopenssl pyparsing pyproj pysocks python-dateutil python-dotenv
    python-json-logger python-multipart pytorch-lightning pytz pywavelets pyyaml pyzmq rapidfuzz regex requests
    retrying rich rsa ruamel-yaml s3fs sacremoses safetensors scikit-image scikit-learn scikit-learn-extra
    scikit-optimize scipy seaborn sentence-transformers sentencepiece setuptools shap shapely simplejson six
    skl2onnx skorch smart-open sniffio sortedcontainers soundfile spacy sqlalchemy sqlparse starlette statsmodels
    sympy tabulate tblib tenacity tensorboard tensorflow tensorflow-cpu tensorly termcolor textblob tf2onnx
    threadpoolctl tifffile tiktoken timm tokenizers toml tomli toolz torchaudio torchmetrics torchtext torchvision
    tornado tqdm traitlets transformers tsfresh typer typing-extensions tzdata tzlocal ujson umap-learn unidecode
    urllib3 uvicorn uvloop waitress wasabi wcwidth websockets werkzeug wheel wordcloud wrapt xarray xgboost xlrd
    xlsxwriter xxhash yarl zarr zipp zstandard
    """.split()  # noqa: SIM905 - a table of three hundred lines helps no reader
)

# The same software under another name.
RENAMED = {
    "dask-core": "dask",
    "faiss": "faiss-cpu",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "opencv": "opencv-python-headless",
    "psycopg2": "psycopg2-binary",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "pyarrow-core": "pyarrow",
    "pytables": "tables",
    "python-annoy": "annoy",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-tzdata": "tzdata",
    "python-xxhash": "xxhash",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "seaborn-base": "seaborn",
    "tensorflow-base": "tensorflow",
}

# Parts of Python and libraries that wheels bring along: nothing to install.
NOT_NEEDED = frozenset(
    """
    _libgcc_mutex _openmp_mutex blas bzip2 ca-certificates expat freetype hdf5 icu intel-openmp jpeg krb5 lcms2
    ld_impl_linux-64 ld_impl_linux-aarch64 lerc libblas libcblas libcurl libcxx libdeflate libedit libev libexpat
    libffi libgcc libgcc-ng libgfortran libgfortran-ng libgfortran5 libgomp libiconv liblapack libnghttp2 libnsl
    libopenblas libpng libprotobuf libsodium libsqlite libssh2 libstdcxx libstdcxx-ng libtiff libuuid libuv libwebp
    libwebp-base libxcb libxcrypt libxml2 libxslt libzlib llvm-openmp lz4-c mkl mkl-service mkl_fft mkl_random
    ncurses nomkl numpy-base openblas openjpeg openssl pip python_abi pytorch-mutex readline sqlite tbb tk xz yaml
    zeromq zlib zstd
    """.split()  # noqa: SIM905 - see above
)

_GPU = (
    "the wheels of GPU packages bring their own CUDA libraries: remove it, and choose the packages' build by a pip "
    "version under `- pip:` and an index in the stack's configuration (slipway:pip)"
)
_CPU = (
    "choose the CPU build of torch by its version under `- pip:` (for example torch==2.5.1+cpu) and an index in the "
    "stack's configuration (slipway:pip)"
)
# What to do about packages that are often there and that pip cannot install.
ADVICE = {
    "cpuonly": _CPU,
    "cuda": _GPU,
    "cuda-toolkit": _GPU,
    "cudatoolkit": _GPU,
    "cudnn": _GPU,
    "pytorch-cuda": _GPU,
    "tensorflow-gpu": "on the package index it is tensorflow: write tensorflow",
    "onnxruntime-gpu": "list onnxruntime-gpu under `- pip:`, with the version that fits your CUDA",
}
