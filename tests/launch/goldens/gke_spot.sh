# run alpt: experiments.train on v6e:2x2
kubectl get jobset alpt --ignore-not-found '--output=jsonpath={.metadata.name},{.status.terminalState},{.status.restarts}' --context=my-cluster --namespace=research
cat > runs/launch/alpt/jobset.yaml <<'END_OF_FILE'
# Run alpt of commit abad1deaabad1deaabad1deaabad1deaabad1dea; written by launch.submit.
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: alpt
  labels:
    alpt-run: alpt
    kueue.x-k8s.io/queue-name: my-queue
  annotations:
    alpha.jobset.sigs.k8s.io/exclusive-topology: cloud.google.com/gke-nodepool
spec:
  failurePolicy:
    maxRestarts: 20
    rules:
    - name: final
      action: FailJobSet
      onJobFailureReasons:
      - PodFailurePolicy
  replicatedJobs:
  - name: slice
    replicas: 1
    template:
      spec:
        parallelism: 1
        completions: 1
        completionMode: Indexed
        backoffLimit: 0
        podFailurePolicy:
          rules:
          - action: FailJob
            onExitCodes:
              containerName: alpt
              operator: In
              values:
              - 1
              - 77
        template:
          metadata:
            labels:
              alpt-run: alpt
          spec:
            restartPolicy: Never
            terminationGracePeriodSeconds: 120
            nodeSelector:
              cloud.google.com/gke-tpu-accelerator: tpu-v6e-slice
              cloud.google.com/gke-tpu-topology: 2x2
              cloud.google.com/gke-spot: 'true'
            tolerations:
            - key: google.com/tpu
              operator: Exists
              effect: NoSchedule
            - key: cloud.google.com/gke-spot
              operator: Equal
              value: 'true'
              effect: NoSchedule
            containers:
            - name: alpt
              image: us-docker.pkg.dev/my-project/alpt/deps:1
              command:
              - bash
              - -c
              - set -e; mkdir -p /tmp/alpt; cd /tmp/alpt; echo "c0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0dec0de  /etc/alpt/code.tar.gz"
                | sha256sum --check --quiet; tar -xzf /etc/alpt/code.tar.gz; exec bash launch/entrypoint.sh
                -- "$@"
              - alpt
              - python3
              - -m
              - experiments.train
              - --config=experiments/configs/atari.py:paper,phase=finetune
              - --config.init_from=/mnt/alpt/runs/alpt9
              - --config.target=it's
              - --config.workdir=/mnt/alpt/runs/alpt
              - --config.compilation_cache_dir=/mnt/alpt/runs/compilation_cache
              env:
              - name: ALPT_DISTRIBUTED
                value: '1'
              - name: ALPT_RUN_ID
                value: alpt
              - name: ALPT_HOST
                valueFrom:
                  fieldRef:
                    fieldPath: metadata.name
              - name: WANDB_API_KEY
                valueFrom:
                  secretKeyRef:
                    name: alpt-secrets
                    key: WANDB_API_KEY
              ports:
              - containerPort: 8471
              - containerPort: 8482
              resources:
                requests:
                  google.com/tpu: 4
                limits:
                  google.com/tpu: 4
              securityContext:
                privileged: false
              volumeMounts:
              - name: code
                mountPath: /etc/alpt
                readOnly: true
              - name: storage
                mountPath: /mnt/alpt
            volumes:
            - name: code
              configMap:
                name: alpt-code
            - name: storage
              persistentVolumeClaim:
                claimName: checkpoints
            serviceAccountName: trainer
            priorityClassName: high
END_OF_FILE
kubectl delete jobset alpt --ignore-not-found --context=my-cluster --namespace=research
kubectl delete configmap alpt-code --ignore-not-found --context=my-cluster --namespace=research
kubectl create configmap alpt-code --from-file=code.tar.gz=runs/launch/alpt/alpt-c0dec0dec0de.tar.gz --context=my-cluster --namespace=research
kubectl apply --filename=runs/launch/alpt/jobset.yaml --context=my-cluster --namespace=research
