package engine

import (
	"os"
	"path/filepath"
	"strings"

	"tandem"
)

const libraryName = "libchdb.so"

// Locate finds the library: the explicit path, $TANDEM_CHDB, beside the binary,
// .tools/chdb under the working folder and under the data folder, /usr/local/lib.
// The error (KindUnavailable) says where it looked and how to install it.
func Locate(explicit, dataDir string) (string, error) {
	var tried []string
	for _, path := range candidates(explicit, dataDir) {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if abs, err := filepath.Abs(path); err == nil {
				path = abs
			}
			return path, nil
		}
		tried = append(tried, path)
	}
	return "", &tandem.Error{Kind: tandem.KindUnavailable, Field: "clickhouse.library",
		Message: "the ClickHouse engine library is not installed (looked for " + strings.Join(tried, ", ") + ")",
		Mend:    "run scripts/install-chdb.sh, or set TANDEM_CHDB to the path of " + libraryName + ", or configure a ClickHouse server; calls, rating and the journal work meanwhile, reports wait"}
}

func candidates(explicit, dataDir string) []string {
	if explicit != "" {
		return []string{explicit}
	}
	if env := os.Getenv("TANDEM_CHDB"); env != "" {
		return []string{env}
	}
	var list []string
	if binary, err := os.Executable(); err == nil {
		list = append(list, filepath.Join(filepath.Dir(binary), libraryName))
	}
	list = append(list, filepath.Join(".tools", "chdb", libraryName))
	if dataDir != "" {
		list = append(list, filepath.Join(dataDir, ".tools", "chdb", libraryName))
	}
	return append(list, filepath.Join("/usr/local/lib", libraryName))
}
