package inference

import (
	"context"
	"math"
	"testing"

	"github.com/carat-hub/carat/inference/internal/reference"
	"github.com/carat-hub/carat/inference/internal/shared"
)

// TestToyArchitectures compares with the logits that llama.cpp gives for random weights at the last of the ids 1 to 5, and so the
// reference in float64, with which all logits are compared. llama.cpp's GELU is a table of 16-bit floats, which the tolerances
// leave room for.
func TestToyArchitectures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file         string
		sum, squares float64
		top          map[int]float64
	}{
		{"bloom-dense.gguf", 0.461903, 4.554550, map[int]float64{82: 0.55773, 19: 0.50304, 21: 0.44297, 51: 0.38304, 50: 0.36286}},
		{"command-r-dense.gguf", 1.679451, 3.197653, map[int]float64{45: 0.43248, 20: 0.43154, 106: 0.40613, 8: 0.38138, 107: 0.36039}},
		{"deepseek2-moe.gguf", -1.923126, 1.377851, map[int]float64{47: 0.24280, 43: 0.22378, 97: 0.18937, 15: 0.18297, 108: 0.16434}},
		{"falcon-dense.gguf", -2.272114, 5.719773, map[int]float64{61: 0.50297, 50: 0.45606, 82: 0.39347, 69: 0.37748, 110: 0.36690}},
		{"gemma2-dense.gguf", 1.545051, 3.307565, map[int]float64{45: 0.44904, 106: 0.39900, 44: 0.34302, 20: 0.33771, 59: 0.32995}},
		{"gemma3-dense.gguf", -1.072328, 2.777589, map[int]float64{102: 0.37498, 55: 0.29993, 62: 0.28397, 17: 0.27754, 115: 0.27012}},
		{"glm4-dense.gguf", -1.484487, 3.171630, map[int]float64{63: 0.38478, 110: 0.36747, 14: 0.28645, 108: 0.28333, 29: 0.27249}},
		{"gpt-oss-moe.gguf", 1.899446, 3.125711, map[int]float64{31: 0.49783, 110: 0.46260, 33: 0.46139, 91: 0.30594, 72: 0.29786}},
		{"gpt2-dense.gguf", 1.675271, 5.952359, map[int]float64{82: 0.61833, 19: 0.48343, 50: 0.47930, 115: 0.47832, 28: 0.43463}},
		{"gptneox-dense.gguf", 1.320367, 5.756033, map[int]float64{82: 0.61740, 50: 0.54146, 19: 0.48647, 115: 0.44324, 18: 0.43010}},
		{"granite-dense.gguf", 2.106921, 2.274688, map[int]float64{55: 0.41106, 99: 0.32972, 68: 0.29259, 72: 0.23902, 109: 0.22875}},
		{"internlm2-dense.gguf", -0.889938, 2.307417, map[int]float64{102: 0.44132, 70: 0.29195, 120: 0.27529, 17: 0.26635, 115: 0.23960}},
		{"llama-dense.gguf", 0.859878, 2.994834, map[int]float64{24: 0.34706, 31: 0.32844, 71: 0.28545, 62: 0.28137, 110: 0.28034}},
		{"llama-moe.gguf", 0.978452, 3.049034, map[int]float64{31: 0.34403, 24: 0.33652, 71: 0.28911, 55: 0.27446, 62: 0.27025}},
		{"mpt-dense.gguf", -1.560677, 5.254955, map[int]float64{51: 0.48795, 0: 0.47507, 74: 0.46280, 19: 0.40466, 92: 0.39502}},
		{"olmo2-dense.gguf", 0.203649, 2.336530, map[int]float64{17: 0.36231, 115: 0.30653, 70: 0.28274, 23: 0.27089, 29: 0.25491}},
		{"phi2-dense.gguf", 0.403751, 7.587960, map[int]float64{82: 0.72136, 50: 0.59813, 61: 0.52950, 110: 0.48792, 69: 0.44545}},
		{"phi3-dense.gguf", -1.119756, 2.490432, map[int]float64{102: 0.37435, 108: 0.32526, 55: 0.31927, 70: 0.28336, 115: 0.26499}},
		{"qwen2-dense.gguf", -0.041151, 4.146463, map[int]float64{102: 0.42499, 62: 0.42358, 99: 0.40284, 120: 0.36557, 18: 0.35306}},
		{"qwen2moe-moe.gguf", -0.513250, 2.776458, map[int]float64{17: 0.36974, 102: 0.35679, 115: 0.35398, 108: 0.33237, 120: 0.27058}},
		{"qwen3-dense.gguf", -0.588495, 2.815439, map[int]float64{102: 0.40416, 70: 0.30201, 17: 0.29231, 55: 0.28773, 120: 0.28702}},
		{"qwen3moe-moe.gguf", -0.861640, 2.773959, map[int]float64{102: 0.42040, 70: 0.29059, 120: 0.28501, 17: 0.28228, 55: 0.27711}},
		{"stablelm-dense.gguf", -1.830794, 6.806930, map[int]float64{102: 0.54751, 115: 0.48539, 51: 0.48182, 108: 0.44808, 44: 0.40231}},
		{"starcoder2-dense.gguf", 1.250106, 5.782180, map[int]float64{82: 0.62057, 50: 0.53699, 19: 0.48507, 115: 0.44283, 18: 0.42530}},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			path, ids := shared.Path(t, "architectures", c.file), []int{1, 2, 3, 4, 5}
			r, err := reference.Read(referenceFile(t, path), len(ids))
			if err != nil {
				t.Fatal(err)
			}
			want := r.Logits(ids)
			files, err := OpenPath(path)
			if err != nil {
				t.Fatal(err)
			}
			compareReference(t, files, want, ids, len(ids), referenceTolerance)
			logits, err := session(t, open(t, path), SessionOptions{}).Eval(context.Background(), ids)
			if err != nil {
				t.Fatal(err)
			}
			for who, logits := range map[string][]float64{"production": float64s(logits), "reference": want[len(ids)-1]} {
				var sum, squares float64
				for _, v := range logits {
					sum += v
					squares += v * v
				}
				if math.Abs(sum-c.sum) > 3e-3 || math.Abs(squares-c.squares) > 1e-3 {
					t.Errorf("%s: sum %f, squares %f; want %f, %f", who, sum, squares, c.sum, c.squares)
				}
				for id, want := range c.top {
					if math.Abs(logits[id]-want) > 1e-4 {
						t.Errorf("%s: logit %d is %f, want %f", who, id, logits[id], want)
					}
				}
			}
		})
	}
}
