package packed

import "github.com/carat-hub/carat/inference/tensor"

// awq is AutoAWQ's layout for its GEMM kernel: each word holds 4-bit integers of eight neighbouring outputs for one input.
type awq struct {
	in, out, size int
	scales        Tensor // {groups, out}
	weight        []byte // {in, out/8} words
	zeros         []byte // {groups, out/8} words
}

// awqShift is where the integer of each of a word's eight outputs lies.
var awqShift = [8]uint{0, 16, 4, 20, 8, 24, 12, 28}

// newAWQ makes a matrix {outputs, inputs} of the tensors qweight, qzeros and scales; size inputs make a group, all of them where
// size is -1.
func newAWQ(size int, weight, zeros, scales Tensor) (*Matrix, error) {
	if err := weight.of(tensor.I32); err != nil {
		return nil, err
	}
	if len(weight.Shape) != 2 {
		return nil, malformed(weight.Name, "shape is %v", weight.Shape)
	}
	a := &awq{in: weight.Shape[0], out: 8 * weight.Shape[1], size: size, scales: scales, weight: weight.Data, zeros: zeros.Data}
	if size == -1 {
		a.size = max(a.in, 1)
	}
	groups := tiles(a.in, a.size)
	if err := zeros.want([]int{groups, weight.Shape[1]}, tensor.I32); err != nil {
		return nil, err
	}
	if err := scales.want([]int{groups, a.out}, scaleTypes...); err != nil {
		return nil, err
	}
	return newMatrix(a, a.out, a.in), nil
}

func (a *awq) decode(dst []float32, first, count int) {
	scale, zero := make([]float32, count), make([]float32, count)
	words := a.out / 8
	for i := range a.in {
		if i%a.size == 0 {
			g := i / a.size
			for r := range count {
				out := first + r
				scale[r] = element(a.scales.Type, a.scales.Data, g*a.out+out)
				zero[r] = float32(word(a.zeros, g*words+out/8) >> awqShift[out%8] & 15)
			}
		}
		for r := range count {
			out := first + r
			q := word(a.weight, i*words+out/8) >> awqShift[out%8] & 15
			dst[r*a.in+i] = scale[r] * (float32(int32(q)) - zero[r])
		}
	}
}
