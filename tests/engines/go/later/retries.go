// Retries of a task, as releases from 2.5 on have Argo make them: its pod has a retryStrategy.
// Added to backend/src/v2/compiler/argocompiler.

package argocompiler

import (
	"fmt"

	wfapi "github.com/argoproj/argo-workflows/v3/pkg/apis/workflow/v1alpha1"
	"github.com/kubeflow/pipelines/api/v2alpha1/go/pipelinespec"
	"google.golang.org/protobuf/types/known/durationpb"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// retriedExecutor names the template of an executor: of those with these retries, if there are any.
func (c *workflowCompiler) retriedExecutor(plain string, task *pipelinespec.PipelineTaskSpec) string {
	policy := task.GetRetryPolicy()
	if policy == nil {
		return plain
	}
	limit := intstr.FromString(fmt.Sprint(policy.GetMaxRetryCount()))
	factor := intstr.FromString(fmt.Sprint(policy.GetBackoffFactor()))
	backoff := &wfapi.Backoff{
		Duration:    wholeSeconds(policy.GetBackoffDuration()),
		Factor:      &factor,
		MaxDuration: wholeSeconds(policy.GetBackoffMaxDuration()),
	}
	name := fmt.Sprintf("retry-%s-%s-%s-%s-", limit.StrVal, backoff.Duration, factor.StrVal, backoff.MaxDuration)
	if _, ok := c.templates[name+plain]; ok {
		return name + plain
	}
	executor := c.templates[plain].DeepCopy()
	pod := c.templates[executor.DAG.Tasks[0].Template].DeepCopy()
	executor.Name, pod.Name = name+executor.Name, name+pod.Name
	executor.DAG.Tasks[0].Template = pod.Name
	pod.RetryStrategy = &wfapi.RetryStrategy{Limit: &limit, Backoff: backoff}
	c.templates[executor.Name], c.templates[pod.Name] = executor, pod
	c.wf.Spec.Templates = append(c.wf.Spec.Templates, *executor, *pod)
	return executor.Name
}

// wholeSeconds is what Argo is told of a duration: 0 if there is none.
func wholeSeconds(duration *durationpb.Duration) string {
	return fmt.Sprint(duration.GetSeconds())
}
