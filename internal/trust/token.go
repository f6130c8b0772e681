package trust

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// TokenVariable is the environment variable with a token of the ruler's.
const TokenVariable = "NOCTURNE_TOKEN"

const maxToken = 4 << 10

// Token reads a token of the ruler's: that of a file, or where none is named
// that of TokenVariable; "" = there is none.
func Token(file string) (string, error) {
	if file == "" {
		return strings.TrimSpace(os.Getenv(TokenVariable)), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" || len(b) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("read token: %s: want one token, as \"ruler tokens add\" prints it", file)
	}
	return token, nil
}
