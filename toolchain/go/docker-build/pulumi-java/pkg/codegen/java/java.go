// Package java holds the one type that the docker-build provider takes from pulumi-java,
// to describe a Java SDK that is never generated here.
package java

// PackageInfo is the Java section of a Pulumi package schema.
type PackageInfo struct {
	BuildFiles                      string            `json:"buildFiles,omitempty"`
	BasePackage                     string            `json:"basePackage,omitempty"`
	Dependencies                    map[string]string `json:"dependencies,omitempty"`
	GradleNexusPublishPluginVersion string            `json:"gradleNexusPublishPluginVersion,omitempty"`
	Packages                        map[string]string `json:"packages,omitempty"`
}
