package jinja

import "math"

// num is an integer, or a float when isFloat.
type num struct {
	i       int64
	f       float64
	isFloat bool
}

func toNum(v any) (num, bool) {
	switch v := v.(type) {
	case bool:
		return num{i: toInt(v), f: float64(toInt(v))}, true
	case int64:
		return num{i: v, f: float64(v)}, true
	case float64:
		return num{f: v, isFloat: true}, true
	}
	return num{}, false
}

func numbers(a, b any) (x, y num, ok bool) {
	x, okX := toNum(a)
	y, okY := toNum(b)
	return x, y, okX && okY
}

// unordered is the comparison with what is not a number.
const unordered = 2

func (x num) cmp(y num) int {
	switch {
	case !x.isFloat && !y.isFloat:
		switch {
		case x.i < y.i:
			return -1
		case x.i > y.i:
			return 1
		}
		return 0
	case x.f < y.f:
		return -1
	case x.f > y.f:
		return 1
	case x.f == y.f:
		return 0
	}
	return unordered
}

// arithmetic computes on numbers as Python does. Integers beyond 64 bits exceed a limit.
func (r *renderer) arithmetic(line int, op string, x, y num) any {
	if (op == "/" || op == "//" || op == "%") && y.f == 0 {
		r.fail(line, "division by zero")
	}
	if exact := int64(1) << 53; op == "/" && (max(x.i, y.i) > exact || min(x.i, y.i) < -exact) {
		r.limit(line, "number") // a division of floats would not be exact
	}
	if x.isFloat || y.isFloat || op == "/" || op == "**" && y.i < 0 {
		return r.floatArithmetic(line, op, x.f, y.f)
	}
	a, b := x.i, y.i
	var c int64
	ok := true
	switch op {
	case "+":
		c = a + b
		ok = (c > a) == (b > 0)
	case "-":
		c = a - b
		ok = (c < a) == (b > 0)
	case "*":
		c, ok = multiply(a, b)
	case "//", "%":
		if ok = a != math.MinInt64 || b != -1; ok {
			c = a / b
			rest := a % b
			if rest != 0 && (rest < 0) != (b < 0) {
				c--
				rest += b
			}
			if op == "%" {
				c = rest
			}
		}
	case "**":
		c, ok = power(a, b)
	}
	if !ok {
		r.limit(line, "number")
	}
	return c
}

func multiply(a, b int64) (int64, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	c := a * b
	return c, c/b == a && (a != -1 || b != math.MinInt64) && (b != -1 || a != math.MinInt64)
}

// power is a to the b, which is not negative.
func power(a, b int64) (c int64, ok bool) {
	if a >= -1 && a <= 1 {
		b = min(b, 2-b%2) // as good as any higher one that is odd or even like it
	}
	c, ok = 1, true
	for ; b > 0 && ok; b-- {
		c, ok = multiply(c, a)
	}
	return c, ok
}

func (r *renderer) floatArithmetic(line int, op string, a, b float64) any {
	var c float64
	switch op {
	case "+":
		c = a + b
	case "-":
		c = a - b
	case "*":
		c = a * b
	case "/":
		c = a / b
	case "//", "%":
		rest := math.Mod(a, b)
		c = (a - rest) / b
		if rest != 0 && (rest < 0) != (b < 0) {
			rest += b
			c--
		}
		if c = math.Round(c); op == "%" {
			c = rest
		}
	case "**":
		c = math.Pow(a, b)
	}
	if math.IsInf(c, 0) || math.IsNaN(c) {
		r.limit(line, "number")
	}
	return c
}
