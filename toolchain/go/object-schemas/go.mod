// Nothing is built here: of these modules only the definitions of their kinds are read.
module slipway/toolchain/object-schemas

go 1.25.0

require (
	github.com/kedacore/keda/v2 v2.18.1
	github.com/prometheus-operator/prometheus-operator v0.82.2
	sigs.k8s.io/gateway-api v1.3.0
)
